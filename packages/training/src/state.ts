// A run as its events tell it: phase, version, the open round with its leases, who is present, what is still owed.
// Types and read access only; `evolve` in evolve.ts is the one place that changes it.
import {
  type AssignmentEnd,
  type BlobRef,
  type CodecName,
  type DeltaStep,
  type F32Hex,
  f32ToHex,
  type LeaseId,
  type LeaseView,
  type RunId,
  type RunPhase,
  type RunSpec,
  type RunSpecOf,
  type Sha256,
  type StreamRange,
  type VolunteerId,
} from "@weft/protocol";
import type { AssignmentGiven } from "./inputs.ts";
import { innerLearningRate, type Place, samplesCounted } from "./schedule.ts";

/** The version that an update is computed on. */
export interface AssignmentBase {
  readonly version: number;
  readonly weights: BlobRef;
  readonly deltas: readonly DeltaStep[];
  /** Where they stand in the schedule. */
  readonly place: Place;
}

/** One attempt at a lease. It is live while `end` is null. */
export interface AssignmentState {
  readonly attempt: number;
  readonly volunteer: VolunteerId;
  readonly assignedAtMs: number;
  readonly deadlineAtMs: number;
  readonly codec: CodecName;
  readonly base: AssignmentBase;
  end: AssignmentEnd | "admitted" | null;
}

/** The admitted contribution that settled a lease. */
export interface Settlement {
  readonly attempt: number;
  readonly volunteer: VolunteerId;
  readonly sha256: Sha256;
  readonly codec: string;
  /** As it stands in the header. */
  readonly lossMean: F32Hex;
  /** The version that it was computed on. */
  readonly base: number;
}

/** Immutable work; only who holds it, and whether it is settled, changes. */
export interface LeaseState {
  readonly lease: LeaseId;
  readonly start: number;
  readonly samples: number;
  /** Attempt n stands at index n - 1. */
  readonly assignments: AssignmentState[];
  settled: Settlement | null;
  /** Since when an unsettled lease has had no live assignment; meaningless while it has one. */
  freeSinceMs: number;
}

/** What is given out: leases, and what may be cut into some. */
export interface LeaseBook {
  /** In the order of cutting. Where a round has a fixed batch, that is the order of their positions. */
  readonly leases: Map<LeaseId, LeaseState>;
  /** Unsettled leases without, and with, a live assignment. */
  readonly waiting: Set<LeaseId>;
  readonly out: Set<LeaseId>;
  /** Settled leases of which no round has said yet that it closes with them. */
  readonly in: Set<LeaseId>;
  /** Positions that were given out before, by a round that was given up, and are in no lease now. In rising order; they are cut first. */
  pool: StreamRange[];
}

/** The round that turns `base` into base + 1. Its leases end with it in `gradient` mode; in `local-steps` the others go on to the next. */
export interface RoundState extends LeaseBook {
  readonly base: number;
  readonly start: number;
  /** Of the whole batch; 0 in `local-steps`, where none is fixed. */
  readonly samples: number;
  readonly openedAtMs: number;
  readonly learningRate: F32Hex;
  /** Positions from `start` on that are cut into leases so far. */
  cut: number;
  leasesCut: number;
  /** Samples of the settled leases; in `local-steps` of those that `in` holds. */
  samplesIn: number;
  /** Only in `local-steps`: the leases with whose contributions it closes, in canonical order, once that is decided. */
  closing: readonly LeaseId[] | null;
  /** When so many leases were in that it closes a grace later; null before, and where its rule knows no quorum. */
  quorumAtMs: number | null;
  /** Per key, how many of its assignments of this round it gave back or answered with what had to be refused, and when the last one. */
  readonly givenBack: Map<VolunteerId, { readonly times: number; readonly lastAtMs: number }>;
}

export interface VolunteerState {
  readonly volunteer: VolunteerId;
  present: boolean;
  blocked: boolean;
  /** When its newest session began. */
  joinedAtMs: number;
  leasesSettled: number;
  /** Live assignments, oldest first. */
  open: { readonly lease: LeaseId; readonly attempt: number }[];
}

/** What a version is: enough to go on from it. */
export interface VersionPoint {
  readonly version: number;
  readonly weights: BlobRef;
  /** Null at a first version that came without one. */
  readonly optimizer: BlobRef | null;
  /** First position of the run's sample stream that is not counted in these weights. */
  readonly position: number;
  /** How many rounds lie behind these weights; the learning rate and the end of the run go by it. */
  readonly steps: number;
  /** Below `position`, and not counted in these weights; absent where there are none. */
  readonly pending?: readonly StreamRange[];
}

/**
 * Owned by one holder and changed in place by `evolve`, so that 100,000 events fold without copies. Everybody else gets it as
 * readonly views and must treat it so; `decide` never changes it.
 */
export interface RunState {
  readonly run: RunId;
  readonly spec: RunSpec;
  readonly dataset: BlobRef;
  readonly parameters: number;
  /** Whose key signs the ledger's heads now. */
  coordinator: VolunteerId;
  readonly createdAtMs: number;
  phase: RunPhase;
  /** Rises by one with every publication and every roll-back. The fields up to `steps` are those of its VersionPoint, but for `deltas`. */
  version: number;
  weights: BlobRef;
  /** Lead to the newest version's weights from those of a few versions before, oldest first; together cheaper than these. */
  deltas: readonly DeltaStep[];
  optimizer: BlobRef | null;
  position: number;
  steps: number;
  /** Of the newest version; none in `gradient` mode. */
  pending: readonly StreamRange[];
  /** Null between a version and the next opening, before the first opening, and once the run is finished or stopped. */
  round: RoundState | null;
  /** What goes on from one round to the next, while no round is open; else null. Always null in `gradient` mode. */
  carried: LeaseBook | null;
  /** Samples of each client; null where the sampler knows none. */
  readonly clients: readonly number[] | null;
  /** Who settled the leases of the newest version: tells a resend after a lost acknowledgement from a stale answer. */
  lastSettled: Map<LeaseId, Settlement>;
  /** Everybody present, blocked, or with a settled lease; others are forgotten when they leave. */
  readonly volunteers: Map<VolunteerId, VolunteerState>;
  present: number;
  /** Present volunteers with at least one settled lease. */
  establishedPresent: number;
  /** Versions whose evaluation, and whose checkpoint, has not been recorded yet. */
  readonly owed: { readonly evaluations: Map<number, BlobRef>; readonly checkpoints: Map<number, VersionPoint> };
}

/** The version at which the run is. */
export const pointOf = ({ version, weights, optimizer, position, steps, pending }: ReadonlyRun): VersionPoint => ({
  version,
  weights,
  optimizer,
  position,
  steps,
  ...(pending.length > 0 ? { pending } : {}),
});

/** What an assignment that is given now is computed on. */
export const baseOf = (state: ReadonlyRun): AssignmentBase => {
  const { version, weights, deltas, steps } = state;
  return { version, weights, deltas, place: { steps, samples: samplesCounted(state) } };
};

/** The leases that there are, whether a round is open or is about to. */
export const bookOf = (state: Pick<ReadonlyRun, "round" | "carried">): ReadonlyBook | null => state.round ?? state.carried;

/** Deeply readonly view for those who decide or read. */
export type ReadonlyRun = DeepReadonly<RunState>;
type DeepReadonly<T> = T extends RunSpec
  ? T
  : T extends Map<infer K, infer V>
    ? ReadonlyMap<K, DeepReadonly<V>>
    : T extends Set<infer V>
      ? ReadonlySet<V>
      : T extends object
        ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
        : T;
export type ReadonlyRound = DeepReadonly<RoundState>;
export type ReadonlyBook = DeepReadonly<LeaseBook>;
export type ReadonlyLease = DeepReadonly<LeaseState>;
export type ReadonlyAssignment = DeepReadonly<AssignmentState>;
export type ReadonlyVolunteer = DeepReadonly<VolunteerState>;

export const isEstablished = (volunteer: ReadonlyVolunteer | undefined): boolean => volunteer !== undefined && volunteer.leasesSettled > 0;

export const liveAssignments = (lease: ReadonlyLease): DeepReadonly<AssignmentState>[] =>
  lease.assignments.filter(({ end }) => end === null);

/** A round whose whole batch is in: its closing worker is at it, or must be started. */
export const isComplete = (round: ReadonlyRound): boolean =>
  round.closing !== null || (round.samples > 0 && round.samplesIn === round.samples);

export interface LocalSteps {
  readonly spec: RunSpecOf<"local-steps">;
}
export const hasLocalSteps = <S extends Pick<ReadonlyRun, "spec">>(state: S): state is S & LocalSteps =>
  state.spec.training.mode === "local-steps";

/** The version in which an answer that is admitted now is counted: while a round closes, the one after its own. */
export const countingVersion = (state: Pick<ReadonlyRun, "version" | "round" | "spec">): number =>
  state.version + (hasLocalSteps(state) && state.round !== null && state.round.closing !== null ? 2 : 1);

/** Versions between the base and the weights to which the answer would be added. */
export const stalenessOf = (state: Pick<ReadonlyRun, "version" | "round" | "spec">, base: number): number =>
  countingVersion(state) - 1 - base;

/** A lease id's version; NaN never, since ids come through their schema. */
export const leaseBase = (lease: LeaseId): number => Number.parseInt(lease, 10);

/** Live assignments of one volunteer, as they were given: what a reconnecting volunteer is told to go on with. */
export function openAssignmentsOf(state: ReadonlyRun, volunteer: VolunteerId): AssignmentGiven[] {
  const given: AssignmentGiven[] = [];
  for (const { lease, attempt } of state.volunteers.get(volunteer)?.open ?? []) {
    const found = bookOf(state)?.leases.get(lease);
    const assignment = found?.assignments[attempt - 1];
    if (found === undefined || assignment === undefined) continue;
    const { start, samples } = found;
    given.push(givenOf(state, { lease, attempt, start, samples }, assignment));
  }
  return given;
}

/** The assignment as its volunteer is told of it. */
export function givenOf(
  { spec }: Pick<ReadonlyRun, "spec">,
  offer: Pick<AssignmentGiven, "lease" | "attempt" | "start" | "samples">,
  { volunteer, deadlineAtMs, codec, base }: Pick<AssignmentState, "volunteer" | "deadlineAtMs" | "codec" | "base">,
): AssignmentGiven {
  const { version, weights, deltas, place } = base;
  const inner = spec.training.mode === "local-steps" ? f32ToHex(innerLearningRate(spec as RunSpecOf<"local-steps">, place)) : null;
  return {
    ...offer,
    volunteer,
    version,
    weights,
    ...(deltas.length > 0 ? { deltas } : {}),
    codec,
    deadlineAtMs,
    ...(inner === null ? {} : { learningRate: inner }),
  };
}

/** Leases of the open round in the order of cutting, as pages show them; progress is the shell's to add. Samples not yet cut appear in none. */
export function roundLeases(state: ReadonlyRun): Omit<LeaseView, "progress">[] {
  return [...(state.round?.leases.values() ?? [])].map((lease) => {
    const { settled, samples } = lease;
    if (settled !== null) return { lease: lease.lease, samples, state: "in", volunteer: settled.volunteer, deadlineAtMs: null };
    const newest = liveAssignments(lease).at(-1);
    return newest === undefined
      ? { lease: lease.lease, samples, state: "waiting", volunteer: null, deadlineAtMs: null }
      : { lease: lease.lease, samples, state: "out", volunteer: newest.volunteer, deadlineAtMs: newest.deadlineAtMs };
  });
}

/** The assignment as it was given, live or ended; null where no lease that there is ever had it. */
export function findAssignment(state: ReadonlyRun, lease: LeaseId, attempt: number): DeepReadonly<AssignmentState> | null {
  return bookOf(state)?.leases.get(lease)?.assignments[attempt - 1] ?? null;
}
