// A run under test: the state machine with a clock that only moves when told, and every decision written down. No storage, no sockets.
import {
  type ContributionHeader,
  type EventOf,
  f32ToHex,
  type GradientTraining,
  type LedgerEvent,
  type LocalStepsTraining,
  type RunSpec,
  type RunSpecOf,
} from "@weft/protocol";
import {
  type AssignmentGiven,
  type Decision,
  decide,
  type Effect,
  evolve,
  foldRun,
  type Input,
  initialState,
  type RunState,
} from "../src/index.ts";

export const key = (n: number): string => n.toString(16).padStart(64, "0");
export const blob = (n: number) => ({ sha256: n.toString(16).padStart(64, "b"), sizeBytes: 100 });
export const DEVICE = { backend: "synthetic", description: "test", software: false } as const;
export const SIGNATURE = "0".repeat(128);
const START_MS = 1_000_000;

/** 24 samples a version in micro-batches of 4, leases of 2 s, a deadline of 10 s, 4 versions. */
export function specOf(training: Partial<GradientTraining> = {}, rest: Partial<Omit<RunSpec, "training">> = {}): RunSpecOf<"gradient"> {
  return {
    format: "weft-run/1",
    name: "Test",
    description: "A test.",
    license: "CC0-1.0",
    seed: 1,
    dataset: "digits",
    sampler: { kind: "epoch" },
    model: { kind: "mlp", inputs: 64, hidden: [8], classes: 10 },
    training: {
      mode: "gradient",
      versions: 4,
      samplesPerVersion: 24,
      microBatch: 4,
      rule: { kind: "mean" },
      optimizer: { kind: "sgd", learningRate: 0.5, momentum: 0.9, weightDecay: 0 },
      schedule: { kind: "constant", warmupVersions: 0 },
      codec: "f32",
      ...training,
    },
    round: { leaseMs: 2_000, deadlineMs: 10_000, maxStaleness: 0 },
    evaluation: { everyVersions: 2, samples: 10 },
    checkpoints: { everyVersions: 2 },
    ...rest,
  };
}

/** Leases of 2 steps of 4 samples, 4 of them a round which waits for all, and the rest as above. */
export function localStepsOf(
  training: Partial<LocalStepsTraining> = {},
  rest: Partial<Omit<RunSpec, "training">> = {},
): RunSpecOf<"local-steps"> {
  const sgd = { kind: "sgd", learningRate: 1, momentum: 0, weightDecay: 0 } as const;
  return {
    ...specOf(),
    training: {
      mode: "local-steps",
      versions: 4,
      batch: 4,
      microBatch: 4,
      work: { kind: "steps", steps: 2 },
      inner: {
        optimizer: { ...sgd, learningRate: 0.1 },
        schedule: { kind: "linear", warmupVersions: 0, finalFraction: 0 },
        keepState: false,
      },
      rounds: { kind: "all", leases: 4 },
      rule: { kind: "mean" },
      optimizer: sgd,
      codec: "f32",
      ...training,
    },
    round: { leaseMs: 2_000, deadlineMs: 10_000, maxStaleness: 2 },
    ...rest,
  };
}

type Beginning = Partial<Pick<EventOf<"run-created">, "weights" | "origin" | "clients">>;
export const createdOf = (spec: RunSpec, beginning: Beginning = {}): EventOf<"run-created"> => ({
  type: "run-created",
  run: "test",
  spec,
  dataset: blob(1),
  weights: blob(100),
  parameters: 618,
  coordinator: key(0xc0),
  code: "test",
  origin: null,
  ...beginning,
});

export interface Desk {
  readonly state: RunState;
  readonly nowMs: number;
  readonly records: { readonly event: LedgerEvent; readonly atMs: number }[];
  /** Decides, folds the events (all, or the first `stored` of them), and gives the decision. */
  send(input: Input, stored?: number): Decision;
  pass(ms: number): void;
  /** Forgets the state and folds it again from what is stored. */
  restart(): void;
  join(...volunteers: number[]): void;
  /** The lease that the volunteer gets, or null. */
  ask(volunteer: number, samplesPerSecond?: number | null): AssignmentGiven | null;
  /** As `ask`, for tests that know there is one. */
  take(volunteer: number, samplesPerSecond?: number | null): AssignmentGiven;
  answer(assignment: AssignmentGiven, changes?: Partial<ContributionHeader>): Decision;
  /** Delivers the new version, as a closing worker does. */
  close(): Decision;
}

export const headerOf = (_desk: Pick<Desk, "state">, given: AssignmentGiven): ContributionHeader => ({
  run: "test",
  lease: given.lease,
  attempt: given.attempt,
  volunteer: given.volunteer,
  base: given.weights.sha256,
  codec: given.codec,
  samples: given.samples,
  lossMean: f32ToHex(1.5),
  computeMs: 100,
  sizeBytes: 2_472,
  sha256: (BigInt(`0x${given.volunteer}`) * 1_000_003n + BigInt(given.start) * 1_009n + BigInt(given.attempt))
    .toString(16)
    .padStart(64, "a"),
});

export function createDesk(spec: RunSpec = specOf(), beginning: Beginning = {}): Desk {
  const created = createdOf(spec, beginning);
  let nowMs = START_MS;
  let state = initialState(created, nowMs);
  const records: Desk["records"] = [{ event: created, atMs: nowMs }];
  const desk: Desk = {
    get state() {
      return state;
    },
    get nowMs() {
      return nowMs;
    },
    records,
    send(input, stored = Number.POSITIVE_INFINITY) {
      const decision = decide(state, input, nowMs);
      for (const event of decision.events.slice(0, stored)) {
        records.push({ event, atMs: nowMs });
        state = evolve(state, event, nowMs);
      }
      return decision;
    },
    pass(ms) {
      nowMs += ms;
    },
    restart() {
      state = foldRun(records) as RunState;
    },
    join(...volunteers) {
      for (const volunteer of volunteers) desk.send({ kind: "join", volunteer: key(volunteer), name: null, device: DEVICE });
    },
    ask(volunteer, samplesPerSecond = null) {
      const { effects } = desk.send({ kind: "request-lease", volunteer: key(volunteer), samplesPerSecond });
      return effectOf(effects, "assign")?.assignment ?? null;
    },
    take(volunteer, samplesPerSecond = null) {
      const given = desk.ask(volunteer, samplesPerSecond);
      if (given === null) throw new Error(`volunteer ${volunteer} got no lease`);
      return given;
    },
    answer: (given, changes = {}) =>
      desk.send({ kind: "contribution", header: { ...headerOf(desk, given), ...changes }, signature: SIGNATURE, norm: 0.5 }),
    close: () => desk.send(closedOf(state.version)),
  };
  return desk;
}

export const closedOf = (base: number): Extract<Input, { kind: "closed" }> => ({
  kind: "closed",
  base,
  weights: blob(101 + base),
  optimizer: blob(1_001 + base),
  norm: 0.25,
  lossMean: 1.5,
});

export function effectOf<K extends Effect["kind"]>(effects: readonly Effect[], kind: K): Extract<Effect, { kind: K }> | null {
  return (effects.find((effect) => effect.kind === kind) as Extract<Effect, { kind: K }> | undefined) ?? null;
}
/** `admitted`, or the code of the refusal. */
export function verdictOf({ effects }: Decision): string {
  const verdict = effectOf(effects, "verdict")?.verdict;
  return verdict === undefined ? "none" : verdict.ok ? "admitted" : verdict.code;
}
export const typesOf = ({ events }: Decision): string[] => events.map(({ type }) => type);
export const kindsOf = ({ effects }: Decision): string[] => effects.map(({ kind }) => kind);

/** A desk whose first round is open and where these volunteers are present. */
export function openDesk(volunteers: number[], spec?: RunSpec): Desk {
  const desk = createDesk(spec);
  desk.send({ kind: "tick" });
  desk.join(...volunteers);
  return desk;
}
