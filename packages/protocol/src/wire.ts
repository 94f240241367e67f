// Messages between volunteer and coordinator, as schemas and as Socket.IO event maps. Each request is acknowledged with a Result.
// Weights, shards, specifications and manifests do not travel here: they are blobs, fetched over HTTP by hash.
import * as z from "zod/mini";
import type { Result } from "./errors.ts";
import { BlobRef, ContributionHeader, DeltaStep, DeviceInfo } from "./events.ts";
import { DisplayName, F32Hex, LeaseId, RunId, Sha256, Signature, VolunteerId } from "./ids.ts";
import { MAX_DELTAS, MAX_SPENT_MS } from "./limits.ts";
import { CodecName } from "./run-spec.ts";

const count = z.int().check(z.gte(0), z.lte(Number.MAX_SAFE_INTEGER));
const attempt = z.int().check(z.gte(1), z.lte(1_000_000));

/** Coordinator to volunteer, first message of a connection: what `hello` must sign. */
export interface Challenge {
  readonly nonce: string;
  readonly coordinator: VolunteerId;
  readonly protocol: number;
}

/** Signed over ("weft-hello-1", { coordinator, origin, nonce, volunteer, protocol }) in canonical JSON. */
export const Hello = z.strictObject({
  protocol: z.int().check(z.gte(0), z.lte(1_000_000)),
  volunteer: VolunteerId,
  name: z.nullable(DisplayName),
  device: DeviceInfo,
  /** Result of the device's self-test: the worst relative error found, or why it failed. */
  selfTest: z.strictObject({ passed: z.boolean(), relativeError: z.number().check(z.gte(0)), detail: z.string().check(z.maxLength(300)) }),
  origin: z.string().check(z.maxLength(300)),
  nonce: z.string().check(z.maxLength(64)),
  signature: Signature,
  /** The run the volunteer chose; null: whatever the coordinator has. */
  run: z.nullable(RunId),
});
export type Hello = z.infer<typeof Hello>;

export interface Welcome {
  readonly volunteer: VolunteerId;
  /** Assignments of this key that are still open, after a reconnect. */
  readonly open: readonly Assignment[];
  /** A secret of this connection. A page that is going away says goodbye with it over HTTP: its socket's last words may be lost. */
  readonly farewell: string;
}

export const LeaseRequest = z.strictObject({
  run: z.nullable(RunId),
  /** Measured speed, exponential moving average; null before the first lease. */
  samplesPerSecond: z.nullable(z.number().check(z.gt(0), z.lte(1e9))),
});
export type LeaseRequest = z.infer<typeof LeaseRequest>;

/** A lease given to one volunteer. Times are durations, since clocks differ. */
export const Assignment = z.strictObject({
  run: RunId,
  lease: LeaseId,
  attempt,
  /** The version the update is computed on. */
  version: count,
  weights: BlobRef,
  /** Oldest first: each leads to the next one's base, the last to `weights`. Together cheaper than these. Absent where there are none. */
  deltas: z.optional(z.array(DeltaStep).check(z.minLength(1), z.maxLength(MAX_DELTAS))),
  /** Canonical JSON of the RunSpec, and of the DatasetManifest. */
  spec: BlobRef,
  dataset: BlobRef,
  /** First position in the run's sample stream; with the sampler `clients`, that of the visit. */
  start: count,
  /** Samples that the answer is made of. */
  samples: z.int().check(z.gte(1), z.lte(1_000_000)),
  codec: CodecName,
  /** Of the local steps, for the whole lease; absent in mode `gradient`. */
  learningRate: z.optional(F32Hex),
  remainingMs: count,
});
export type Assignment = z.infer<typeof Assignment>;

/** `none` says why there is no lease and when to ask again at the latest; a `work` notice may come sooner. */
export type LeaseReply =
  | { readonly kind: "lease"; readonly assignment: Assignment }
  | { readonly kind: "none"; readonly reason: string; readonly retryAfterMs: number };

export const ContributionOpen = z.strictObject({ header: ContributionHeader, signature: Signature });
export type ContributionOpen = z.infer<typeof ContributionOpen>;
/** `nextChunk` is above 0 when an interrupted upload resumes. */
export interface ContributionOpened {
  readonly nextChunk: number;
}

/** Header of a chunk's frame (see frame.ts); the payload is the chunk. Chunks are CHUNK_BYTES long but for the last. */
export const ChunkHeader = z.strictObject({ run: RunId, lease: LeaseId, attempt, index: z.int().check(z.gte(0), z.lte(1_000_000)) });
export type ChunkHeader = z.infer<typeof ChunkHeader>;

/** The acknowledgement of the last chunk carries the admission verdict, after the contribution is on disk. */
export type ChunkReply =
  | { readonly kind: "received"; readonly nextChunk: number }
  | { readonly kind: "admitted"; readonly version: number };

export const AssignmentRef = z.strictObject({ run: RunId, lease: LeaseId, attempt });
export type AssignmentRef = z.infer<typeof AssignmentRef>;

const spent = z.int().check(z.gte(0), z.lte(MAX_SPENT_MS));
/** Whole milliseconds since the volunteer began to lend; where several went on at once, the first named counts. */
export const SpentMs = z.strictObject({ computing: spent, downloading: spent, uploading: spent, waiting: spent });
export type SpentMs = z.infer<typeof SpentMs>;

export const Progress = z.strictObject({
  run: RunId,
  lease: LeaseId,
  attempt,
  done: count,
  of: count,
  /** On what the volunteer's time goes; for people's eyes. */
  spentMs: z.optional(SpentMs),
});
export type Progress = z.infer<typeof Progress>;

export const Leave = z.strictObject({ reason: z.enum(["goodbye", "pause", "stop"]) });
export type Leave = z.infer<typeof Leave>;

/** Body of `POST /api/volunteer/goodbye`: ends the connection whose welcome carried the word, and gives its leases back. */
export const Goodbye = z.strictObject({ farewell: z.string().check(z.regex(/^[0-9a-f]{32}$/)) });
export type Goodbye = z.infer<typeof Goodbye>;

/** Coordinator to volunteer: there may be work now; the volunteer asks for a lease. */
export interface WorkNotice {
  readonly run: string;
  readonly version: number;
}
/** Coordinator to volunteer: this assignment no longer counts (settled by another, expired, run stopped). */
export interface RevokeNotice {
  readonly run: string;
  readonly lease: string;
  readonly attempt: number;
  readonly reason: string;
}

type Ack<T> = (reply: Result<T>) => void;

/** `unknown` on purpose: the coordinator parses each message by its schema before it believes a field. */
export interface VolunteerToCoordinator {
  hello: (message: Hello, ack: Ack<Welcome>) => void;
  lease: (message: LeaseRequest, ack: Ack<LeaseReply>) => void;
  contribution: (message: ContributionOpen, ack: Ack<ContributionOpened>) => void;
  chunk: (frame: Uint8Array, ack: Ack<ChunkReply>) => void;
  release: (message: AssignmentRef, ack: Ack<null>) => void;
  progress: (message: Progress, ack: Ack<null>) => void;
  leave: (message: Leave, ack: Ack<null>) => void;
}
export interface CoordinatorToVolunteer {
  challenge: (message: Challenge) => void;
  work: (message: WorkNotice) => void;
  revoke: (message: RevokeNotice) => void;
}

/** Commands of the admin namespace, one event `command` with a Result. */
export const AdminCommand = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("create-run"), spec: z.unknown() }),
  z.strictObject({ type: z.literal("pause-run"), run: RunId }),
  z.strictObject({ type: z.literal("resume-run"), run: RunId }),
  z.strictObject({ type: z.literal("stop-run"), run: RunId }),
  /** Makes a new version with the weights and optimiser state of `version`; those between are undone. */
  z.strictObject({ type: z.literal("roll-back"), run: RunId, version: count }),
  /** A new run that goes on from a version of `run` with the same specification; `name` where it shall be called otherwise. */
  z.strictObject({ type: z.literal("resume-from"), run: RunId, version: count, name: z.optional(DisplayName) }),
  /** A new run that goes on from the weights of a version of `run` with another specification. */
  z.strictObject({ type: z.literal("fork"), run: RunId, version: count, spec: z.unknown() }),
  z.strictObject({ type: z.literal("block-volunteer"), volunteer: VolunteerId }),
  z.strictObject({ type: z.literal("unblock-volunteer"), volunteer: VolunteerId }),
]);
export type AdminCommand = z.infer<typeof AdminCommand>;
export type AdminReply = { readonly run: string } | null;

export const ObserverWatch = z.strictObject({ run: z.nullable(RunId) });
export type ObserverWatch = z.infer<typeof ObserverWatch>;

export const BlobName = Sha256;
