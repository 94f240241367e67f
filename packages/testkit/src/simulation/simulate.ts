// One simulation: the real coordinator and real volunteers in a storm that a seed draws, on a clock that only this loop moves, with every
// invariant looked at after every event. The same options give the same history, to the last bit.
import { isDeepStrictEqual } from "node:util";
import { replay, storageSource } from "@weft/audit";
import type { Coordinator } from "@weft/coordinator";
import type { LedgerRecord, RunSpec } from "@weft/protocol";
import { f32FromBytes, f32ToBytes } from "@weft/tensors";
import { closeRound, learningRate, type ReadonlyRun } from "@weft/training";
import { VirtualClock } from "../virtual-clock.ts";
import { diceOf } from "./dice.ts";
import type { FaultName } from "./faults.ts";
import { Host, hashOf } from "./host.ts";
import { checkEpochs, hold, type InvariantName, Violation } from "./invariants.ts";
import { MUTATIONS, type Tampering } from "./mutations.ts";
import { planOf, type SimulationOptions, type SimulationPlan, speedOf } from "./plan.ts";
import { Storm, weatherOf } from "./storm.ts";
import { Tab } from "./tab.ts";
import { addToyGradient } from "./toy-engine.ts";
import { START_MS, Trickster } from "./trickster.ts";
import { Witness } from "./witness.ts";

export interface Outcome {
  readonly options: SimulationOptions;
  /** The first invariant that did not hold; null where all did. */
  readonly violation: { readonly invariant: InvariantName; readonly message: string } | null;
  /** Messages that arrived, in either direction. */
  readonly messages: number;
  /** Wakings of the virtual clock. */
  readonly events: number;
  readonly virtualMs: number;
  readonly crashes: number;
  readonly records: number;
  readonly versions: number;
  readonly acknowledged: number;
  /** How often each fault struck. */
  readonly faults: Readonly<Partial<Record<FaultName, number>>>;
  /** Hash of each run's last record: the whole history in 32 bytes. */
  readonly heads: readonly string[];
  /** What the coordinator logged, where that was asked for. */
  readonly lines: readonly string[];
}

const TRAINING_SAMPLES = 40;
/** After the storm an honest volunteer alone needs a few deadlines a version at worst: for what others took away, and its own waits. */
const patienceMs = ({ specs, calmAtMs }: SimulationPlan): number =>
  calmAtMs + 120_000 + specs.reduce((sum, { training, round }) => sum + 2 * training.versions * (2 * round.deadlineMs + 3_000), 0);

export async function simulate(
  options: SimulationOptions,
  { keepsLines = false }: { readonly keepsLines?: boolean } = {},
): Promise<Outcome> {
  const plan = planOf(options);
  const tampering: Tampering = options.mutation === undefined ? {} : MUTATIONS[options.mutation].make();
  const clock = new VirtualClock(START_MS);
  const counts: Partial<Record<FaultName, number>> = {};
  const told = (fault: FaultName): void => {
    counts[fault] = (counts[fault] ?? 0) + 1;
  };
  let messages = 0;
  let events = 0;
  let failed: Violation | null = null;
  const counted = (): void => {
    messages += 1;
  };
  const witness = new Witness((violation) => {
    failed ??= violation;
  });
  const host = new Host({ clock, dice: diceOf(plan.seed, plan.size, "host"), watch: witness, tampering, keepsLines });
  const tabOf = (index: number, name: string, purpose: string): Tab =>
    new Tab({
      host,
      name,
      dice: diceOf(plan.seed, plan.size, "tab", purpose),
      weather: weatherOf(plan, host, purpose, told),
      samplesPerSecond: speedOf(plan, index),
      ...(tampering.engine === undefined ? {} : { tampered: tampering.engine }),
      counted,
    });
  const tabs = Array.from({ length: plan.volunteers - plan.scripted }, (_, index) => tabOf(index, `tab ${index}`, `${index}`));
  const twins: Tab[] = [];
  const storm = new Storm({
    plan,
    host,
    witness,
    tabs,
    told,
    twin: (index) => {
      const twin = tabOf(index, `tab ${index}`, `${index} twin ${twins.length}`);
      twins.push(twin);
      return twin;
    },
  });

  // Everything that waits for no time runs on promises alone, and so to its end within one turn of the event loop.
  const drain = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const turn = async (): Promise<void> => {
    if (!clock.wakeNext()) throw new Error("nothing is going to happen any more");
    events += 1;
    await drain();
    if (failed === null) witness.look();
  };
  const until = async (isSo: () => boolean, limitMs: number): Promise<boolean> => {
    while (failed === null && !isSo() && clock.monotonicMs() - START_MS < limitMs) await turn();
    return isSo();
  };

  const play = async (): Promise<void> => {
    host.start();
    await drain();
    await until(() => host.coordinator !== null, 60_000);
    await createRuns(plan, host, until);
    storm.begin();
    for (const [index, tab] of tabs.entries())
      clock.after(index === 0 ? 0 : diceOf(plan.seed, plan.size, "arrival", index).scale(10, 8_000), () => tab.open());
    for (let index = 0; index < plan.scripted; index += 1) {
      const dice = diceOf(plan.seed, plan.size, "trickster", index);
      void new Trickster({ host, witness, dice, plan, name: `trickster ${index}`, counted, told }).play();
    }
    const isOver = (): boolean => witness.isOver() && host.coordinator !== null;
    const watchman = (): void => {
      // Whoever runs it reads what it says, and starts it again where it asks for that.
      if (reasons(host).includes("until Weft is started again")) host.end("killed");
      clock.after(5_000, watchman);
    };
    if (plan.faults.has("full-disk") || plan.faults.has("failed-sync")) watchman();
    await until(isOver, plan.calmAtMs);
    // The storm may have left a run paused: nobody but an admin may set it going again.
    const resume = (): void => {
      for (const [run, { book, state }] of witness.ledgers)
        if (book.ended === null && state.phase === "paused") void host.coordinator?.command({ type: "resume-run", run }, "admin");
      if (!isOver()) clock.after(5_000, resume);
    };
    if (!isOver()) clock.after(plan.calmAtMs + 1_000, resume);
    const ended = await until(isOver, patienceMs(plan));
    if (failed !== null) return;
    storm.end();
    hold("progress", ended, () => `not over ${Math.round((clock.monotonicMs() - START_MS) / 1000)} s after the start: ${reasons(host)}`);
    await settle(plan, host, [...tabs, ...twins], until);
    if (failed === null) await checkEnd(plan, host, witness);
  };
  try {
    await play();
  } catch (error) {
    if (error instanceof Violation) failed ??= error;
    else failed ??= new Violation("nothing-breaks", error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  const violation = failed as Violation | null;
  const ledgers = [...witness.ledgers.values()];
  return {
    options,
    violation: violation === null ? null : { invariant: violation.invariant, message: violation.message },
    messages,
    events,
    virtualMs: clock.monotonicMs() - START_MS,
    crashes: host.ends,
    records: ledgers.reduce((sum, { records }) => sum + records.length, 0),
    versions: ledgers.reduce((sum, { book }) => sum + book.version, 0),
    acknowledged: ledgers.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0),
    faults: counts,
    heads: ledgers.map(({ records }) => records.at(-1)?.hash ?? ""),
    lines: host.lines,
  };
}

type Until = (isSo: () => boolean, limitMs: number) => Promise<boolean>;

async function createRuns({ specs }: SimulationPlan, host: Host, until: Until): Promise<void> {
  for (const spec of specs) {
    let created: Awaited<ReturnType<Coordinator["createRun"]>> | undefined;
    void host.coordinator?.createRun(spec, "simulation").then((reply) => {
      created = reply;
    });
    await until(() => created !== undefined, 120_000);
    if (created?.ok !== true) throw new Error(`the run was not created: ${created?.message ?? "no answer"}`);
  }
}

const reasons = (host: Host): string =>
  host.coordinator === null
    ? "the coordinator is down"
    : host.coordinator
        .runs()
        .map(({ run, phase, version }) => `${run} is ${phase} at version ${version}: ${host.coordinator?.detail(run)?.round?.reason ?? ""}`)
        .join("; ");

/** Everybody goes home; what is owed is done. */
async function settle(plan: SimulationPlan, host: Host, tabs: readonly Tab[], until: Until): Promise<void> {
  const nowMs = (): number => host.clock.monotonicMs() - START_MS;
  for (const tab of tabs) tab.vanish();
  // What still goes wrong with the coordinator until it is calm goes wrong; then it has time for its debts.
  const fromMs = Math.max(nowMs(), plan.calmAtMs);
  await until(() => nowMs() > fromMs && host.coordinator !== null, fromMs + 60_000);
  const paid = (): boolean =>
    host.coordinator
      ?.inside()
      .runs.every(
        ({ state }) => state !== null && (state.phase === "stopped" || state.owed.evaluations.size + state.owed.checkpoints.size === 0),
      ) === true;
  const isPaid = await until(paid, nowMs() + 180_000);
  hold(
    "debts-are-paid",
    isPaid,
    () =>
      `what is owed is not done three minutes after the end: ${JSON.stringify(host.coordinator?.inside().runs.map(({ state }) => (state === null ? null : { phase: state.phase, evaluations: [...state.owed.evaluations.keys()], checkpoints: [...state.owed.checkpoints.keys()] })))}`,
  );
  await until(() => false, nowMs() + 20_000);
  const inside = host.coordinator?.inside();
  hold("debts-are-paid", inside?.uploads === 0, () => `${inside?.uploads} uploads are left after the end`);
}

async function checkEnd(plan: SimulationPlan, host: Host, witness: Witness): Promise<void> {
  const { coordinator } = host;
  if (coordinator === null) throw new Error("the coordinator is down");
  const counters = coordinator.counters();
  hold("nothing-breaks", counters["internal-errors"] === undefined, () => `${counters["internal-errors"]} internal errors`);
  const storage = host.storage;
  if (storage === null) throw new Error("the storage is closed");
  for (const [run, { book, records, acknowledged, state }] of witness.ledgers) {
    const read: LedgerRecord[] = [];
    for await (const record of storage.ledger.read(run)) read.push(record);
    hold("ledger-only-grows", isDeepStrictEqual(read, records), () => `${run}: what is on disk is not what was written`);
    for (const key of acknowledged.keys())
      hold(
        "accounted-once",
        typeof book.admitted.get(key)?.accounted === "string",
        () => `${run}: the acknowledged ${key} is in no version and named by no stop`,
      );
    checkEpochs(book.spec, book.position, TRAINING_SAMPLES);
    const replayed = await replay(storageSource(storage, run), { hash: hashOf });
    hold(
      "replay-is-identical",
      replayed.ok && replayed.givenUp.length === 0,
      () => `${run}: ${replayed.refused ?? JSON.stringify(replayed.different ?? replayed.givenUp)}`,
    );
    const created = records[0]?.event;
    if (plan.isFixed && created?.type === "run-created") await checkUndisturbed(book.spec, created.weights.sha256, state, storage.blobs);
  }
}

/** Round after round as if nothing had happened, with what every honest volunteer would answer. */
async function checkUndisturbed(
  spec: RunSpec,
  firstWeights: string,
  state: ReadonlyRun,
  blobs: { get(sha256: string): Promise<Uint8Array | null> },
): Promise<void> {
  const first = await blobs.get(firstWeights);
  if (first === null) throw new Error("the first weights are gone");
  let weights = f32FromBytes(first);
  let optimizer: Uint8Array | null = null;
  if (spec.training.mode !== "gradient") return;
  const { samplesPerVersion, microBatch } = spec.training;
  for (let step = 0; step < state.steps; step += 1) {
    const start = step * samplesPerVersion;
    const contributions = [];
    for (let at = 0; at < samplesPerVersion; at += microBatch) {
      const samples = Math.min(microBatch, samplesPerVersion - at);
      const mean = new Float32Array(weights.length);
      let loss = 0;
      for (let row = 0; row < samples; row += 1) loss += addToyGradient(mean, weights, start + at + row);
      for (let index = 0; index < mean.length; index += 1) mean[index] = (mean[index] as number) / samples;
      contributions.push({ samples, codec: "f32", bytes: f32ToBytes(mean), lossMean: loss / samples });
    }

    const next = closeRound({ spec, weights, optimizer, learningRate: learningRate(spec, step) }, contributions);
    if (!next.ok) throw new Error(next.message);
    ({ weights, optimizer } = next.value);
  }
  hold(
    "undisturbed",
    hashOf(f32ToBytes(weights)) === state.weights.sha256,
    () => `after ${state.steps} steps the weights are not those of an undisturbed run`,
  );
}
