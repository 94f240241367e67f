// What the volunteer's state machine is given: engine, data, identity, blobs, clock. It knows no DOM, no socket library, no backend.
import type {
  Assignment,
  DatasetManifest,
  DeviceInfo,
  ModelSpec,
  Precision,
  RunSpec,
  Sha256,
  Signature,
  VolunteerId,
} from "@weft/protocol";
import type { Batch, DevicePacking, LocalSteps, LocalStepsResult, StepBatches, StepResult } from "@weft/tensors";

export interface SelfTest {
  readonly passed: boolean;
  /** Worst relative error against the stored gradient. */
  readonly relativeError: number;
  readonly detail: string;
}

/** Computes steps on some device. All calls are made one after another. */
export interface VolunteerEngine {
  readonly device: DeviceInfo;
  selfTest(): Promise<SelfTest>;
  /** Compiles what the model needs; idempotent for the same arguments. `f16` where the device can; absent: `f32`. */
  load(model: ModelSpec, microBatch: number, precision?: Precision): Promise<void>;
  /** Flat parameters in canonical order. */
  setWeights(flat: Float32Array): Promise<void>;
  step(batch: Batch): Promise<StepResult>;
  /** Steps from the weights that were set, which stay set. Null where they were given up. */
  localSteps(work: LocalSteps, batches: StepBatches): Promise<LocalStepsResult | null>;
  /** Leases whose update is encoded on the device, with the weights that were set, which stay set. Absent: none is. */
  readonly packing?: DevicePacking;
  dispose(): void;
}

/** Whether both say the same of where the work is done. */
export const sameDevice = (a: DeviceInfo, b: DeviceInfo): boolean => a.backend === b.backend && a.description === b.description;

/** Samples of an assignment: the run's sampler over the data set's shards. */
export interface VolunteerData {
  /** Rows `from` to `to` (exclusive, relative to the assignment) as a batch of exactly `rows` rows, padded with weight 0. */
  batch(work: Work, from: number, to: number, rows: number): Promise<Batch>;
}
/** An assignment with its specification and manifest fetched and checked. */
export interface Work {
  readonly assignment: Assignment;
  readonly spec: RunSpec;
  readonly manifest: DatasetManifest;
}

export interface VolunteerIdentity {
  readonly volunteer: VolunteerId;
  /** Ed25519 over the domain and the canonical JSON of `value`, as @weft/ledger defines it. */
  sign(domain: string, value: unknown): Promise<Signature>;
}

/** Immutable bytes by hash; the implementation checks the hash and may cache. */
export interface BlobSource {
  get(sha256: Sha256, sizeBytes: number): Promise<Uint8Array>;
}

/** SHA-256 of bytes as hex: SubtleCrypto in browsers, node:crypto elsewhere. */
export type Hash = (bytes: Uint8Array) => Promise<Sha256>;

export interface Clock {
  now(): number;
  /** Resolves after `ms`; rejects never. A real clock must not rely on page timers, which hidden tabs throttle. */
  sleep(ms: number): Promise<void>;
}
