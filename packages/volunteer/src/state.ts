// The volunteer's state, what may happen to it (Input) and what its shell must do (Effect). All plain data, so that ten thousand of them
// run in one simulation. Knows no socket, no engine, no clock.
import type { Assignment, ErrorCode, Result, SpentMs } from "@weft/protocol";
import type { Plan } from "./plan.ts";
import type { SelfTest, VolunteerEngine } from "./ports.ts";
import type { Verdict } from "./residuals.ts";
import type { Activity, VolunteerSnapshot } from "./snapshot.ts";
import type { WeightsWay } from "./weights.ts";

export type HoldReason = "you" | "battery" | "frozen";

/** What the person wants. */
export type Mode =
  | { readonly kind: "idle" }
  | { readonly kind: "running" }
  | { readonly kind: "finishing" }
  | { readonly kind: "stopped" }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly message: string }
  | { readonly kind: "unfit"; readonly reason: "wrong-values" | "lost"; readonly detail: string };

/** The connection. `epoch` numbers the attempts: an answer that belongs to an earlier one is ignored. */
export type Link =
  | { readonly kind: "down" }
  /** From the attempt to connect until the welcome. */
  | { readonly kind: "opening"; readonly stage: "connecting" | "challenge" | "hello"; readonly giveUpAtMs: number }
  | { readonly kind: "ready"; readonly sinceMs: number }
  | { readonly kind: "backoff"; readonly untilMs: number };

export type Fitness =
  | { readonly kind: "untested" }
  /** `lost`: for the first time, or how it was lost before. */
  | { readonly kind: "testing"; readonly lost: string | null }
  | { readonly kind: "fit" }
  /** The device was lost; it is tried again then. */
  | { readonly kind: "recovering"; readonly lost: string; readonly atMs: number };

/** Whether a lease is asked for. `again`: a work notice came while the answer was on its way. */
export type Asking =
  | { readonly kind: "no" }
  | { readonly kind: "asked"; readonly again: boolean }
  | { readonly kind: "wait"; readonly untilMs: number; readonly reason: string; readonly code: ErrorCode | null };

export type JobPhase =
  | { readonly kind: "fetching" }
  /** All is here; the device is at the lease before. */
  | { readonly kind: "ready" }
  | { readonly kind: "computing"; readonly done: number; readonly of: number; readonly samplesDone: number }
  /** Mean, encode, hash, sign. */
  | { readonly kind: "packing" }
  | { readonly kind: "uploading"; readonly stage: UploadStage; readonly chunks: number; readonly sizeBytes: number };

export type UploadStage =
  | { readonly kind: "waiting"; readonly untilMs: number }
  | { readonly kind: "opening" }
  /** `acked`: chunks below it are with the coordinator. `sent`: chunks below it are on their way. */
  | { readonly kind: "sending"; readonly acked: number; readonly sent: number };

/** One assignment in hand. */
export interface Job {
  readonly key: string;
  readonly assignment: Assignment;
  readonly deadlineAtMs: number;
  readonly phase: JobPhase;
  readonly beganAtMs: number;
  /** Known once the specification is fetched, as the three below. */
  readonly plan: Plan;
  /** Samples of a version, of which the lease's are a share; null where that is not known. */
  readonly samplesPerVersion: number | null;
  /** Whether the next lease may be asked for before this one is computed. */
  readonly ahead: boolean;
  readonly lossSum: number;
  /** Uploads begun again after an error that allows it. */
  readonly tries: number;
}

export interface VolunteerState extends Omit<VolunteerSnapshot, "status" | "lease" | "losses" | "samplesPerSecond"> {
  /** Mean loss of each own lease of any run, oldest first. */
  readonly losses: readonly { readonly run: string; readonly mean: number }[];
  readonly mode: Mode;
  /** Reasons for which work is held, with since when; `untilMs` for a pause with an end. */
  readonly holds: Readonly<Partial<Record<HoldReason, { readonly sinceMs: number; readonly untilMs: number | null }>>>;
  readonly run: string | null;
  readonly link: Link;
  readonly epoch: number;
  /** Attempts to connect since the last welcome. */
  readonly failedAttempts: number;
  readonly everConnected: boolean;
  readonly fitness: Fitness;
  /** Device failures since the last admitted contribution. */
  readonly deviceFaults: number;
  /** Leases that failed for a reason of their own since the last admitted contribution; lengthens the wait before the next. */
  readonly leaseFaults: number;
  readonly asking: Asking;
  readonly jobs: readonly Job[];
  /** Samples a second of busy time, exponential moving average; effort is applied when it is shown or sent. */
  readonly busySamplesPerSecond: number | null;
  readonly progressAtMs: number;
  /** From the answer with a lease until all that it needs was here, exponential moving average. */
  readonly fetchMs: number | null;
  /** Time until the last change of what it does, and what it does since then. */
  readonly spentMs: SpentMs;
  readonly doing: { readonly kind: Activity; readonly sinceMs: number } | null;
  /** Of a small random stream for jitter: state, so that a simulation repeats. */
  readonly random: number;
}

export type LocalFault = { readonly code: ErrorCode; readonly message: string };

export type Input =
  // the person and the page
  | { readonly kind: "start"; readonly run: string | null }
  | { readonly kind: "pause"; readonly untilMs: number | null }
  | { readonly kind: "resume" }
  | { readonly kind: "hold" | "unhold"; readonly reason: Exclude<HoldReason, "you"> }
  | { readonly kind: "finish" }
  | { readonly kind: "stop" }
  | { readonly kind: "effort"; readonly effort: number }
  | { readonly kind: "name"; readonly name: string | null }
  | { readonly kind: "tick" }
  // the device
  | { readonly kind: "tested"; readonly selfTest: SelfTest; readonly device: VolunteerEngine["device"] }
  | { readonly kind: "device-lost"; readonly key: string | null; readonly detail: string }
  // the connection; `epoch` as in the effect that caused it
  | { readonly kind: "connected"; readonly epoch: number }
  | { readonly kind: "challenged"; readonly epoch: number; readonly protocol: number }
  | { readonly kind: "disconnected"; readonly epoch: number; readonly reason: string }
  | { readonly kind: "welcome"; readonly epoch: number; readonly reply: Result<readonly Assignment[]> }
  | { readonly kind: "lease-reply"; readonly epoch: number; readonly reply: Result<LeaseAnswer> }
  | { readonly kind: "work"; readonly epoch: number; readonly run: string }
  | { readonly kind: "revoked"; readonly epoch: number; readonly key: string; readonly reason: string }
  /** A notice that broke its schema. */
  | { readonly kind: "bad-notice"; readonly epoch: number; readonly event: string }
  // a job
  | {
      readonly kind: "fetched";
      readonly key: string;
      readonly plan: Plan;
      readonly samplesPerVersion: number | null;
      readonly ahead: boolean;
    }
  | { readonly kind: "downloaded"; readonly bytes: number }
  | { readonly kind: "weights"; readonly way: WeightsWay }
  | { readonly kind: "computed"; readonly key: string; readonly to: number; readonly lossSum: number; readonly busyMs: number }
  | { readonly kind: "packed"; readonly key: string; readonly sizeBytes: number }
  | { readonly kind: "job-failed"; readonly key: string; readonly fault: LocalFault }
  | { readonly kind: "upload-opened"; readonly epoch: number; readonly key: string; readonly reply: Result<number> }
  | {
      readonly kind: "chunk-acked";
      readonly epoch: number;
      readonly key: string;
      readonly index: number;
      readonly reply: Result<ChunkAnswer>;
    };

export type LeaseAnswer =
  | { readonly kind: "lease"; readonly assignment: Assignment }
  | { readonly kind: "none"; readonly reason: string; readonly retryAfterMs: number };
export type ChunkAnswer =
  | { readonly kind: "received"; readonly nextChunk: number }
  | { readonly kind: "admitted"; readonly version: number };

export type Effect =
  /** Make the engine if there is none (anew after a loss) and test it: `tested` or `device-lost`. */
  | { readonly kind: "test-device"; readonly anew: boolean }
  | { readonly kind: "connect"; readonly epoch: number }
  /** Say goodbye first, where a reason is given. */
  | { readonly kind: "disconnect"; readonly goodbye: "goodbye" | "pause" | "stop" | null }
  | { readonly kind: "say-hello"; readonly epoch: number }
  | { readonly kind: "request-lease"; readonly epoch: number; readonly samplesPerSecond: number | null }
  | { readonly kind: "fetch"; readonly key: string; readonly assignment: Assignment }
  /** Piece `index` of the lease's plan, which ends with sample `to`; not before `afterMs` have passed. */
  | { readonly kind: "compute"; readonly key: string; readonly index: number; readonly to: number; readonly afterMs: number }
  | { readonly kind: "pack"; readonly key: string }
  | { readonly kind: "open-upload"; readonly epoch: number; readonly key: string }
  | { readonly kind: "send-chunk"; readonly epoch: number; readonly key: string; readonly index: number }
  | { readonly kind: "release"; readonly assignment: Assignment }
  | {
      readonly kind: "progress";
      readonly assignment: Assignment;
      readonly done: number;
      readonly of: number;
      readonly spentMs: SpentMs;
    }
  /** The job is over: what the shell keeps of it can go. */
  | { readonly kind: "discard"; readonly key: string; readonly verdict: Verdict }
  /** The device is not needed for now. */
  | { readonly kind: "free-device" };

export const jobKey = ({ run, lease, attempt }: { readonly run: string; readonly lease: string; readonly attempt: number }): string =>
  `${run}/${lease}/${attempt}`;

export interface InitialState {
  readonly volunteer: string;
  readonly name: string | null;
  readonly effort: number;
  /** Seeds the jitter of reconnections. */
  readonly seed: number;
}
export const initialState = ({ volunteer, name, effort, seed }: InitialState): VolunteerState => ({
  mode: { kind: "idle" },
  holds: {},
  run: null,
  link: { kind: "down" },
  epoch: 0,
  failedAttempts: 0,
  everConnected: false,
  fitness: { kind: "untested" },
  deviceFaults: 0,
  leaseFaults: 0,
  asking: { kind: "no" },
  jobs: [],
  busySamplesPerSecond: null,
  progressAtMs: 0,
  fetchMs: null,
  spentMs: { computing: 0, downloading: 0, uploading: 0, waiting: 0 },
  doing: null,
  random: seed >>> 0,
  volunteer,
  name,
  device: null,
  selfTest: null,
  shares: [],
  losses: [],
  steps: 0,
  samples: 0,
  admitted: 0,
  refused: 0,
  bytesUp: 0,
  bytesDown: 0,
  weights: { snapshot: 0, deltas: 0, "failed-deltas": 0 },
  effort: clampEffort(effort),
  startedAtMs: null,
  milestones: {},
  lastRefusal: null,
});

/** 0.05 to 1; anything that is no number counts as 1. */
export function clampEffort(effort: number): number {
  return Number.isFinite(effort) ? Math.min(1, Math.max(0.05, effort)) : 1;
}
