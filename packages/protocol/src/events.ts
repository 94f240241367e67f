// Ledger events: the facts of a run. Stored, hashed and signed; everything that is shown or recomputed folds from them.
// An input (message, tick, command) is no event. Knows nothing of who decides them (training) or stores them (storage).
import * as z from "zod/mini";
import { DisplayName, F32Hex, LeaseId, RunId, Sha256, Signature, VolunteerId } from "./ids.ts";
import { MAX_CLIENTS, MAX_LEASE_SAMPLES } from "./limits.ts";
import { CodecName, RunSpec } from "./run-spec.ts";

const count = z.int().check(z.gte(0), z.lte(Number.MAX_SAFE_INTEGER));
const version = z.int().check(z.gte(0), z.lte(100_000_000));
const attempt = z.int().check(z.gte(1), z.lte(1_000_000));
const text = z.string().check(z.maxLength(500));

/** A blob by name and length. */
export const BlobRef = z.strictObject({ sha256: Sha256, sizeBytes: count });
export type BlobRef = z.infer<typeof BlobRef>;

/** A delta as a blob, and the weights to which it must be added. */
export const DeltaStep = z.strictObject({ base: Sha256, delta: BlobRef });
export type DeltaStep = z.infer<typeof DeltaStep>;

/** Neighbouring positions of the sample stream: `start` and those behind it. */
export const StreamRange = z.strictObject({ start: count, length: z.int().check(z.gte(1), z.lte(Number.MAX_SAFE_INTEGER)) });
export type StreamRange = z.infer<typeof StreamRange>;

/**
 * Positions below a version's own that are not counted in its weights: they were given out, and are counted later or never were. In rising
 * order, none touching the next. Only in `local-steps`, and absent where there are none.
 */
const pending = z.optional(z.array(StreamRange).check(z.maxLength(1_000_000)));

/** What a volunteer says of its device; class of device only, never anything about the person. */
export const DeviceInfo = z.strictObject({
  backend: z.enum(["webgpu", "wasm", "cpu", "synthetic"]),
  /** Adapter or processor as the platform names it. */
  description: z.string().check(z.maxLength(120)),
  /** A software adapter that the tests allow counts as what it is. */
  software: z.boolean(),
});
export type DeviceInfo = z.infer<typeof DeviceInfo>;

/** The signed part of a contribution. The signature is over ("weft-contribution-1", this object) in canonical JSON. */
export const ContributionHeader = z.strictObject({
  run: RunId,
  lease: LeaseId,
  attempt,
  volunteer: VolunteerId,
  /** SHA-256 of the weights on which the update was computed. */
  base: Sha256,
  codec: CodecName,
  samples: z.int().check(z.gte(1), z.lte(1_000_000)),
  /** Mean loss over the lease's samples, each before the step that it is part of, as f32 bits. */
  lossMean: F32Hex,
  /** Milliseconds spent computing, whole. */
  computeMs: count,
  sizeBytes: z.int().check(z.gte(1), z.lte(400_001_024)),
  sha256: Sha256,
});
export type ContributionHeader = z.infer<typeof ContributionHeader>;

export const AssignmentEnd = z.enum([
  "expired",
  "released",
  "left",
  "refused",
  "settled-by-another",
  "round-closed",
  "rolled-back",
  "blocked",
]);
export type AssignmentEnd = z.infer<typeof AssignmentEnd>;

export const Evaluation = z.strictObject({ lossMean: F32Hex, accuracy: z.nullable(F32Hex), samples: count });
export type Evaluation = z.infer<typeof Evaluation>;

/** The version of another run from which a run goes on; its weights stand in `run-created`. */
export const RunOrigin = z.strictObject({
  /** `resume`: the same specification apart from its name. `fork`: a changed one. */
  change: z.enum(["resume", "fork"]),
  run: RunId,
  /** The new run's first version carries the same number, so that lease ids and random streams go on as they would have. */
  version,
  /** The record of the parent's ledger that made that version, and its hash. */
  seq: count,
  head: Sha256,
  /** Position and steps at which the new run begins; 0 where a fork draws from another sample stream. */
  position: count,
  steps: count,
  pending,
  /** Null where the parent had none, or a fork has another kind of outer optimiser. */
  optimizer: z.nullable(BlobRef),
});
export type RunOrigin = z.infer<typeof RunOrigin>;

/** An admitted contribution of an open round that no version will count. */
export const AbandonedContribution = z.strictObject({ lease: LeaseId, volunteer: VolunteerId, sha256: Sha256, samples: count });
export type AbandonedContribution = z.infer<typeof AbandonedContribution>;

export const LedgerEvent = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("run-created"),
    run: RunId,
    spec: RunSpec,
    /** The data set's manifest as a blob (canonical JSON). */
    dataset: BlobRef,
    /** The first version: 0, or the origin's. */
    weights: BlobRef,
    parameters: count,
    /** Ed25519 key that signs this ledger's heads. */
    coordinator: VolunteerId,
    /** Revision of the code that made the run. */
    code: z.string().check(z.maxLength(64)),
    /** Samples of each client, in order; only with the sampler `clients`. */
    clients: z.optional(z.array(z.int().check(z.gte(1), z.lte(MAX_LEASE_SAMPLES))).check(z.minLength(1), z.maxLength(MAX_CLIENTS))),
    /** Null for a run that begins with seeded weights; absent in ledgers that were begun before there were others. */
    origin: z.optional(z.nullable(RunOrigin)),
  }),
  /**
   * From here on another coordinator keeps this ledger: the run was restored from an archive, or the coordinator's key was lost. Its head is
   * signed by the key that it names, as all later ones are.
   */
  z.strictObject({ type: z.literal("run-adopted"), coordinator: VolunteerId }),
  z.strictObject({ type: z.literal("run-paused"), by: text }),
  z.strictObject({ type: z.literal("run-resumed"), by: text }),
  z.strictObject({
    type: z.literal("run-stopped"),
    by: text,
    /** In canonical order; absent in ledgers that were written before stops named them. */
    abandoned: z.optional(z.array(AbandonedContribution)),
  }),
  z.strictObject({ type: z.literal("run-finished"), version }),
  z.strictObject({
    type: z.literal("run-rolled-back"),
    /** Versions always rise by one: this one has the weights and the optimiser state of version `to`. */
    version,
    to: version,
    by: text,
    weights: BlobRef,
    /** Null where version `to` is the run's first and had none. */
    optimizer: z.nullable(BlobRef),
    /** As they were at version `to`. */
    position: count,
    steps: count,
    pending,
    /** In canonical order. */
    abandoned: z.array(AbandonedContribution),
  }),
  z.strictObject({ type: z.literal("volunteer-joined"), volunteer: VolunteerId, name: z.nullable(DisplayName), device: DeviceInfo }),
  z.strictObject({
    type: z.literal("volunteer-left"),
    volunteer: VolunteerId,
    reason: z.enum(["goodbye", "silent", "restart", "blocked"]),
  }),
  z.strictObject({ type: z.literal("volunteer-blocked"), volunteer: VolunteerId, by: text }),
  z.strictObject({ type: z.literal("volunteer-unblocked"), volunteer: VolunteerId, by: text }),
  z.strictObject({
    type: z.literal("round-opened"),
    /** The round that turns `base` into base + 1. */
    base: version,
    /** First position of this version's batch in the run's sample stream, and its length: 0 in `local-steps`, where what comes is what counts. */
    start: count,
    samples: count,
    /** Of the outer optimiser. */
    learningRate: F32Hex,
  }),
  /**
   * Only in `local-steps`: these leases' contributions, and no others, make version base + 1. What is admitted from here on is of the round
   * after it.
   */
  z.strictObject({
    type: z.literal("round-closing"),
    base: version,
    /** In canonical order. */
    leases: z.array(LeaseId).check(z.minLength(1)),
  }),
  z.strictObject({
    type: z.literal("lease-assigned"),
    lease: LeaseId,
    attempt,
    volunteer: VolunteerId,
    /** Position of the first sample; of the visit, with the sampler `clients`. */
    start: count,
    /** Samples that the answer is made of. */
    samples: count,
    deadlineAtMs: count,
    /** The version that the update is computed on; in `local-steps` only, where a lease outlives the version on which it was cut. */
    base: z.optional(version),
    /** Absent where it is the one that the specification fixes. */
    codec: z.optional(CodecName),
  }),
  z.strictObject({ type: z.literal("assignment-ended"), lease: LeaseId, attempt, volunteer: VolunteerId, reason: AssignmentEnd }),
  z.strictObject({
    type: z.literal("contribution-admitted"),
    header: ContributionHeader,
    signature: Signature,
    /** Euclidean norm of the decoded update. */
    norm: F32Hex,
  }),
  z.strictObject({
    type: z.literal("contribution-refused"),
    volunteer: VolunteerId,
    lease: z.nullable(LeaseId),
    code: z.string().check(z.maxLength(40)),
    detail: text,
  }),
  z.strictObject({
    type: z.literal("version-published"),
    version,
    weights: BlobRef,
    /** Leads from the weights of the version before to these; only with `downlink: "int8"`, and absent where the change was too large for it. */
    delta: z.optional(BlobRef),
    optimizer: BlobRef,
    learningRate: F32Hex,
    /** Norm of the aggregate before clipping. */
    norm: F32Hex,
    /** Mean of the contributions' losses, weighted by samples. */
    lossMean: F32Hex,
    samples: count,
    /**
     * In canonical order, by the lease's first position; a weight may be 0, with a reason. Weights add up to 1: by samples in `gradient`, by
     * samples / sqrt(1 + staleness) in `local-steps`.
     */
    contributions: z.array(
      z.strictObject({ lease: LeaseId, volunteer: VolunteerId, sha256: Sha256, samples: count, weight: F32Hex, reason: z.nullable(text) }),
    ),
  }),
  z.strictObject({ type: z.literal("version-evaluated"), version, evaluation: Evaluation }),
  z.strictObject({ type: z.literal("checkpoint-written"), version, archive: BlobRef }),
]);
export type LedgerEvent = z.infer<typeof LedgerEvent>;
export type EventOf<T extends LedgerEvent["type"]> = Extract<LedgerEvent, { type: T }>;

/**
 * One line of a ledger. `hash` = SHA-256 over the previous hash's 32 bytes followed by the canonical JSON (RFC 8785) of
 * { seq, atMs, event }; the first record's previous hash is 32 zero bytes. `signature` by the coordinator over
 * ("weft-ledger-head-1", { run, seq, hash }) stands on run-created, run-adopted and on each version-published and run-rolled-back, else null.
 */
export const LedgerRecord = z.strictObject({
  seq: count,
  atMs: count,
  event: LedgerEvent,
  hash: Sha256,
  signature: z.nullable(Signature),
});
export type LedgerRecord = z.infer<typeof LedgerRecord>;
