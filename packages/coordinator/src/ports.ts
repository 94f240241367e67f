// What the coordinator core is given beside its storage: somewhere to compute, keys, time. It knows no sockets, no HTTP, no threads.
import type { CheckpointFiles } from "@weft/checkpoints";
import type { BlobRef, DatasetManifest, Evaluation, ModelSpec, RunSpec, Sha256, Signature, VolunteerId } from "@weft/protocol";
import type { CloseRound, VersionPoint } from "@weft/training";

export interface ClosedRound {
  readonly weights: BlobRef;
  readonly delta: BlobRef | null;
  readonly optimizer: BlobRef;
  readonly norm: number;
  readonly lossMean: number;
}
/** What was found in an uploaded contribution, by a worker that hashed and decoded it. */
export type Inspection =
  | { readonly ok: true; readonly norm: number }
  | {
      readonly ok: false;
      readonly code: "wrong-hash" | "wrong-length" | "not-finite" | "norm-outlier" | "bad-payload";
      readonly detail: string;
    };
/** A whole upload that lies in the spool under `name`, and what its signed header says of it. */
export interface SpooledUpload {
  readonly name: string;
  readonly run: string;
  readonly sha256: Sha256;
  readonly codec: string;
  readonly parameters: number;
}

/** Heavy work, off the event loop in the application, in process in tests. Blobs are read and written by hash through the same storage. */
export interface Compute {
  /** Seeded version 0 of a model, stored as a blob of f32 little-endian values in canonical order. */
  initialWeights(model: ModelSpec, seed: number): Promise<BlobRef>;
  /**
   * Inspects a whole upload where it lies and stores it as a contribution if it is one: its bytes never come to the event loop. Leaves it in
   * the spool. Rejects with a StorageFault (or an error with its `code`) where it cannot be stored; then it may be asked for again.
   */
  takeIn(upload: SpooledUpload): Promise<Inspection>;
  /**
   * So many bytes of an upload lie in the spool: what can be done with them is done, that little is left for `takeIn`. Promises nothing, never
   * throws; an upload that is given up meanwhile need not be named again.
   */
  follow?(upload: SpooledUpload, sizeBytes: number): void;
  closeRound(run: string, spec: RunSpec, parameters: number, round: CloseRound): Promise<ClosedRound>;
  evaluate(spec: RunSpec, manifest: DatasetManifest, weights: BlobRef): Promise<Evaluation>;
  /** Packs a checkpoint archive and stores it as a blob. */
  checkpoint(input: CheckpointInput): Promise<BlobRef>;
}
export interface CheckpointInput {
  readonly run: string;
  readonly version: number;
  readonly spec: RunSpec;
  readonly manifest: DatasetManifest;
  readonly point: VersionPoint;
  /** Held-out evaluations up to this version, oldest first. */
  readonly metrics: readonly { readonly version: number; readonly lossMean: number; readonly accuracy: number | null }[];
  readonly contributors: readonly { readonly name: string; readonly samples: number }[];
  readonly provenance: CheckpointFiles["provenance"];
}

/** The coordinator's own Ed25519 key; an Identity of @weft/ledger is one. Synchronous, so that deciding and recording are one step. */
export interface CoordinatorKey {
  readonly publicKey: VolunteerId;
  sign(domain: string, value: unknown): Signature;
}
export type VerifySignature = (publicKey: VolunteerId, domain: string, value: unknown, signature: Signature) => Promise<boolean>;

export interface CoordinatorClock {
  /** Of the wall, in ms since 1970; read once at the start where there is a monotonic time. */
  now(): number;
  /** Never goes back and is never set, in ms since whenever. */
  monotonicMs?(): number;
}
