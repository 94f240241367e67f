// A run as its events tell it: phase, version, the open round with its leases, who is present, what is still owed.
// Types and read access only; `evolve` in evolve.ts is the one place that changes it.
import type { AssignmentEnd, BlobRef, F32Hex, LeaseId, LeaseView, RunId, RunPhase, RunSpec, Sha256, VolunteerId } from "@weft/protocol";
import type { AssignmentGiven } from "./inputs.ts";

/** One attempt at a lease. It is live while `end` is null. */
export interface AssignmentState {
  readonly attempt: number;
  readonly volunteer: VolunteerId;
  readonly assignedAtMs: number;
  readonly deadlineAtMs: number;
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

/** The round that turns `base` into base + 1. */
export interface RoundState {
  readonly base: number;
  readonly start: number;
  readonly samples: number;
  readonly openedAtMs: number;
  readonly learningRate: F32Hex;
  /** Samples cut into leases so far; the next lease begins at start + cut. */
  cut: number;
  samplesIn: number;
  /** In the order of cutting, which is the order of their positions: the canonical order of contributions. */
  readonly leases: Map<LeaseId, LeaseState>;
  /** Unsettled leases without, and with, a live assignment. */
  readonly waiting: Set<LeaseId>;
  readonly out: Set<LeaseId>;
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
  /** Rises by one with every publication and every roll-back. The fields up to `steps` are those of its VersionPoint. */
  version: number;
  weights: BlobRef;
  optimizer: BlobRef | null;
  position: number;
  steps: number;
  /** Null between a version and the next opening, before the first opening, and once the run is finished or stopped. */
  round: RoundState | null;
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
export const pointOf = ({ version, weights, optimizer, position, steps }: ReadonlyRun): VersionPoint => ({
  version,
  weights,
  optimizer,
  position,
  steps,
});

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
export type ReadonlyLease = DeepReadonly<LeaseState>;
export type ReadonlyVolunteer = DeepReadonly<VolunteerState>;

export const isEstablished = (volunteer: ReadonlyVolunteer | undefined): boolean => volunteer !== undefined && volunteer.leasesSettled > 0;

export const liveAssignments = (lease: ReadonlyLease): DeepReadonly<AssignmentState>[] =>
  lease.assignments.filter(({ end }) => end === null);

/** A round whose whole batch is in: its closing worker is at it, or must be started. */
export const isComplete = (round: ReadonlyRound): boolean => round.samplesIn === round.samples;

/** A lease id's version; NaN never, since ids come through their schema. */
export const leaseBase = (lease: LeaseId): number => Number.parseInt(lease, 10);

/** Live assignments of one volunteer, as they were given: what a reconnecting volunteer is told to go on with. */
export function openAssignmentsOf(state: ReadonlyRun, volunteer: VolunteerId): AssignmentGiven[] {
  const given: AssignmentGiven[] = [];
  for (const { lease, attempt } of state.volunteers.get(volunteer)?.open ?? []) {
    const found = state.round?.leases.get(lease);
    const assignment = found?.assignments[attempt - 1];
    if (found === undefined || assignment === undefined) continue;
    const { start, samples } = found;
    const { deadlineAtMs } = assignment;
    given.push({ lease, attempt, volunteer, version: state.version, weights: state.weights, start, samples, deadlineAtMs });
  }
  return given;
}

/** Leases of the open round in canonical order, as pages show them; progress is the shell's to add. Samples not yet cut appear in none. */
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

/** The assignment as it was given, live or ended; null where this lease of the open round never had it. */
export function findAssignment(state: ReadonlyRun, lease: LeaseId, attempt: number): DeepReadonly<AssignmentState> | null {
  return state.round?.leases.get(lease)?.assignments[attempt - 1] ?? null;
}
