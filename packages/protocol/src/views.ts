// What pages show: read models folded from the ledger, plus the live facts of now (progress, rates, the reason a round waits).
// Plain data, sent as JSON by the observer namespace and the HTTP API. Knows nothing of how they are folded.
import type { DatasetManifest } from "./dataset-manifest.ts";
import type { BlobRef, DeviceInfo, RunOrigin } from "./events.ts";
import type { RunSpec } from "./run-spec.ts";
import type { SpentMs } from "./wire.ts";

export type RunPhase = "running" | "paused" | "stopped" | "finished";

/**
 * What keeps a run standing although people are there to work for it. `disk-full`, `unavailable` (cannot be written) and `damaged` are
 * said of storage, which is tried again by itself; `closing`: a version cannot be made of what came in.
 */
export interface TroubleView {
  readonly kind: "disk-full" | "unavailable" | "damaged" | "closing";
  readonly message: string;
}

export interface CheckpointView {
  readonly version: number;
  readonly atMs: number;
  readonly archive: BlobRef;
  readonly weights: BlobRef;
  readonly samplesSeen: number;
  readonly heldOutLoss: number | null;
  readonly accuracy: number | null;
  /** Not among the versions that the present weights come from: the run was rolled back past it. Absent where it is. */
  readonly undone?: true;
}

/** One run in a list. */
export interface RunSummary {
  readonly run: string;
  readonly name: string;
  readonly description: string;
  readonly phase: RunPhase;
  readonly model: string;
  readonly parameters: number;
  readonly dataset: Pick<DatasetManifest, "id" | "name" | "license" | "description"> & { readonly samples: number };
  readonly license: string;
  readonly version: number;
  /** Rounds behind the present weights: the version, unless the run was rolled back. `steps` of `versions` are done. */
  readonly steps: number;
  readonly versions: number;
  readonly createdAtMs: number;
  readonly lossMean: number | null;
  readonly heldOutLoss: number | null;
  readonly accuracy: number | null;
  /** Thinned held-out loss, or accuracy where the model classifies, oldest first: the small line of the list. */
  readonly spark: readonly number[];
  readonly volunteersNow: number;
  /** Whoever settled a lease, and whoever else is here now. */
  readonly volunteersEver: number;
  readonly newestCheckpoint: CheckpointView | null;
  readonly trouble: TroubleView | null;
}

export interface VersionPoint {
  readonly version: number;
  readonly atMs: number;
  readonly lossMean: number;
  readonly samplesSeen: number;
  /** Bytes of the admitted contributions of this version. */
  readonly bytesIn: number;
  readonly norm: number;
  readonly undone?: true;
}
export interface EvaluationPoint {
  readonly version: number;
  readonly atMs: number;
  readonly lossMean: number;
  readonly accuracy: number | null;
  readonly undone?: true;
}
/** A version that was made by rolling back: its weights are those of version `to`. */
export interface RollBackView {
  readonly version: number;
  readonly to: number;
  readonly atMs: number;
  readonly by: string;
  readonly undone?: true;
}

/** A row of the cloth: one version, who wove how much of it, in canonical order. `volunteer` indexes `RunDetail.volunteers`; a number behind its end stands for people who have no place there. */
export interface ClothRow {
  readonly version: number;
  readonly shares: readonly { readonly volunteer: number; readonly samples: number }[];
  readonly undone?: true;
}

export interface VolunteerView {
  readonly volunteer: string;
  readonly name: string | null;
  readonly device: DeviceInfo;
  readonly present: boolean;
  readonly blocked: boolean;
  readonly samplesPerSecond: number | null;
  /** On what its time went since it began to lend, by its own account; null: it has not said, or has left. */
  readonly spentMs: SpentMs | null;
  readonly leasesOpen: number;
  readonly leasesSettled: number;
  readonly samples: number;
  readonly rejected: number;
  readonly expired: number;
  /** Versions between base and now at the last contribution, and the most seen. */
  readonly stalenessLast: number;
  readonly stalenessMax: number;
  readonly joinedAtMs: number;
  readonly lastSeenMs: number;
}

export interface LeaseView {
  readonly lease: string;
  readonly samples: number;
  readonly state: "waiting" | "out" | "in";
  readonly volunteer: string | null;
  /** 0 to 1; live. */
  readonly progress: number;
  readonly deadlineAtMs: number | null;
}
export interface RoundView {
  /** The round that makes this version. */
  readonly version: number;
  readonly phase: "collecting" | "closing" | "waiting";
  readonly openedAtMs: number;
  readonly samplesIn: number;
  /** Of the whole batch; in `local-steps`, where none is fixed, of all leases in hand. */
  readonly samplesWanted: number;
  readonly leases: readonly LeaseView[];
  /** The coordinator's own sentence on why the round is not closed. */
  readonly reason: string;
}

export interface RejectionView {
  readonly atMs: number;
  readonly code: string;
  readonly volunteer: string;
  readonly lease: string | null;
  readonly detail: string;
}
export interface LogLine {
  readonly seq: number;
  readonly atMs: number;
  readonly text: string;
}
/** One assignment in time, for the picture of the last rounds' leases. */
export interface AssignmentSpan {
  readonly lease: string;
  readonly volunteer: string;
  readonly fromMs: number;
  readonly toMs: number | null;
  readonly end: "admitted" | "refused" | "expired" | "released" | "other" | null;
}

export interface RunDetail extends RunSummary {
  readonly spec: RunSpec;
  readonly manifest: DatasetManifest;
  readonly specBlob: BlobRef;
  readonly datasetBlob: BlobRef;
  readonly weights: BlobRef;
  /** Leads to these weights from those of the version before; null where they are published whole alone. */
  readonly delta: BlobRef | null;
  readonly round: RoundView;
  readonly versionPoints: readonly VersionPoint[];
  readonly evaluations: readonly EvaluationPoint[];
  readonly cloth: readonly ClothRow[];
  /** At most some hundreds: who is here, and the largest contributors. */
  readonly volunteers: readonly VolunteerView[];
  readonly rejections: readonly RejectionView[];
  readonly rejectedByCode: Readonly<Record<string, number>>;
  readonly settled: number;
  readonly log: readonly LogLine[];
  readonly spans: readonly AssignmentSpan[];
  readonly checkpoints: readonly CheckpointView[];
  /** Oldest first. */
  readonly rollBacks: readonly RollBackView[];
  /** Where the run's first version comes from; null: from seeded weights. */
  readonly origin: RunOrigin | null;
  readonly ledger: { readonly seq: number; readonly head: string; readonly coordinator: string };
  readonly rates: RunRates;
}
export interface RunRates {
  readonly versionsPerMinute: number;
  readonly samplesPerSecond: number;
  readonly bytesInPerSecond: number;
  readonly bytesOutPerSecond: number;
  /** Milliseconds to the last version at this pace; null where there is no pace. */
  readonly remainingMs: number | null;
}

/** Observer namespace: `snapshot` once after `watch`, then `patch` with the keys that changed. */
export interface Snapshot {
  readonly atMs: number;
  /** Volunteers connected now, each once, whatever runs they help. */
  readonly volunteersNow: number;
  readonly runs: readonly RunSummary[];
  /** The watched run, if any. */
  readonly detail: RunDetail | null;
}
export interface Patch {
  readonly atMs: number;
  readonly volunteersNow: number;
  /** Changed summaries, whole. */
  readonly runs: readonly RunSummary[];
  /** Changed keys of the watched run; lists named in DetailAppend arrive as their new tail only. */
  readonly detail: Partial<RunDetail> | null;
  readonly append: DetailAppend | null;
}
export interface DetailAppend {
  readonly versionPoints?: readonly VersionPoint[];
  readonly evaluations?: readonly EvaluationPoint[];
  readonly cloth?: readonly ClothRow[];
  readonly log?: readonly LogLine[];
  readonly rejections?: readonly RejectionView[];
}

export interface CoordinatorToObserver {
  snapshot: (snapshot: Snapshot) => void;
  patch: (patch: Patch) => void;
}
