// The run specification: one JSON object that says what is trained, on which data, by which rule. Schema and types only;
// `parseRunSpec` in run-spec-errors.ts turns a violation into a sentence with the field, the rule and a good value.
import * as z from "zod/mini";
import { DatasetId, DisplayName } from "./ids.ts";
import { MAX_CLIENTS, MAX_LEASE_SAMPLES } from "./limits.ts";

const int = (low: number, high: number) => z.int().check(z.gte(low), z.lte(high));
const real = (low: number, high: number) => z.number().check(z.gte(low), z.lte(high));

export const MlpSpec = z.strictObject({
  kind: z.literal("mlp"),
  /** Values of one sample, for example 64 for an 8x8 image. */
  inputs: int(1, 1_000_000),
  /** Widths of the hidden layers, each followed by ReLU. */
  hidden: z.array(int(1, 16_384)).check(z.minLength(1), z.maxLength(8)),
  classes: int(2, 10_000),
});

export const CnnSpec = z.strictObject({
  kind: z.literal("cnn"),
  height: int(4, 256),
  width: int(4, 256),
  inChannels: int(1, 16),
  /** Output channels of each convolution (odd kernel, same padding, ReLU, 2x2 max-pool). */
  channels: z.array(int(1, 512)).check(z.minLength(1), z.maxLength(4)),
  kernel: int(1, 9),
  /** Width of the dense layer between the convolutions and the classes. */
  hidden: int(1, 8_192),
  classes: int(2, 10_000),
});

export const GptSpec = z.strictObject({
  kind: z.literal("gpt"),
  /** Symbols of the data set's tokeniser. */
  vocabulary: int(2, 100_000),
  /** Tokens of one window. */
  context: int(2, 4_096),
  layers: int(1, 48),
  heads: int(1, 64),
  width: int(4, 4_096),
  bias: z.boolean(),
  gelu: z.enum(["exact", "tanh"]),
});

/** PyTorch's `nn.LSTM` between an embedding and a dense layer: it reads a window and predicts the next symbol at each place. */
export const LstmSpec = z.strictObject({
  kind: z.literal("lstm"),
  /** Symbols of the data set's tokeniser. */
  vocabulary: int(2, 100_000),
  /** Tokens of one window: how far the recurrence is unrolled. */
  context: int(2, 4_096),
  /** Width of a token's embedding. */
  embedding: int(1, 4_096),
  layers: int(1, 8),
  /** Width of each layer's state. */
  hidden: int(1, 4_096),
});

export const ModelSpec = z.discriminatedUnion("kind", [MlpSpec, CnnSpec, GptSpec, LstmSpec]);
export type MlpSpec = z.infer<typeof MlpSpec>;
export type CnnSpec = z.infer<typeof CnnSpec>;
export type GptSpec = z.infer<typeof GptSpec>;
export type LstmSpec = z.infer<typeof LstmSpec>;
export type ModelSpec = z.infer<typeof ModelSpec>;
/** Models that read windows of a text and predict the next symbol at each place. */
export type TextModelSpec = GptSpec | LstmSpec;
export const readsText = (model: ModelSpec): model is TextModelSpec => model.kind === "gpt" || model.kind === "lstm";

const withMomentum = { learningRate: real(1e-9, 100), momentum: real(0, 0.9999), weightDecay: real(0, 1) };
const SgdSpec = z.strictObject({ kind: z.literal("sgd"), ...withMomentum });
const AdamwSpec = z.strictObject({
  kind: z.literal("adamw"),
  learningRate: real(1e-9, 10),
  beta1: real(0, 0.9999),
  beta2: real(0, 0.999999),
  epsilon: real(1e-12, 0.1),
  weightDecay: real(0, 1),
});
export const OptimizerSpec = z.discriminatedUnion("kind", [
  SgdSpec,
  z.strictObject({ kind: z.literal("nesterov"), ...withMomentum }),
  AdamwSpec,
]);
export type OptimizerSpec = z.infer<typeof OptimizerSpec>;

/** What a volunteer steps with by itself: state that stays on its device. */
export const InnerOptimizerSpec = z.discriminatedUnion("kind", [SgdSpec, AdamwSpec]);
export type InnerOptimizerSpec = z.infer<typeof InnerOptimizerSpec>;

const byVersions = { by: z.optional(z.literal("versions")), warmupVersions: int(0, 10_000_000) };
/** Samples that a schedule may speak of: a run of the largest leases for ten million versions stays below. */
const samplePlace = (low: number) => int(low, 1_000_000_000_000);
const bySamples = { by: z.literal("samples"), warmupSamples: samplePlace(0) };
const falling = { finalFraction: real(0, 1) };
const factor = real(1e-6, 1);
const milestones = <T extends z.ZodMiniNumberFormat>(place: T) => z.array(place).check(z.minLength(1), z.maxLength(100));

/**
 * Factor on the learning rate as a function of the weights' place alone: how many rounds lie behind them, or, `by` samples, how many samples they
 * have counted. So it falls alike whatever a round's leases were. By versions `cosine` and `linear` end with the run, by samples at `samples`.
 */
export const ScheduleSpec = z.discriminatedUnion("kind", [
  z.discriminatedUnion("by", [
    z.strictObject({ kind: z.literal("constant"), ...byVersions }),
    z.strictObject({ kind: z.literal("constant"), ...bySamples }),
  ]),
  z.discriminatedUnion("by", [
    z.strictObject({ kind: z.enum(["cosine", "linear"]), ...byVersions, ...falling }),
    z.strictObject({ kind: z.enum(["cosine", "linear"]), ...bySamples, samples: samplePlace(1), ...falling }),
  ]),
  /** Times `factor` at each of the places `milestones`. */
  z.discriminatedUnion("by", [
    z.strictObject({ kind: z.literal("step"), ...byVersions, milestones: milestones(int(1, 10_000_000)), factor }),
    z.strictObject({ kind: z.literal("step"), ...bySamples, milestones: milestones(samplePlace(1)), factor }),
  ]),
]);
export type ScheduleSpec = z.infer<typeof ScheduleSpec>;

/** How a version's contributions become one update. All but `mean` bound what a few volunteers that lie can do. */
export const RuleSpec = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("mean") }),
  /** No contribution counts with more than the round's median length. */
  z.strictObject({ kind: z.literal("clipped-mean") }),
  /** Of each parameter's values this part is left out at either end. */
  z.strictObject({ kind: z.literal("trimmed-mean"), trim: real(0, 0.49) }),
  z.strictObject({ kind: z.literal("median") }),
  z.strictObject({ kind: z.literal("centered-clip") }),
  /** The part of a round's contributions that may be wrong: as many are left out. */
  z.strictObject({ kind: z.literal("krum"), faulty: real(0, 0.49) }),
]);
export type RuleSpec = z.infer<typeof RuleSpec>;

/** How a data set is dealt out to clients: a function of the data, the run's seed and the number of clients. */
export const PartitionSpec = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("iid") }),
  /** Sorted by label and cut into equal shards, of which each client has a few (McMahan et al. 2017). */
  z.strictObject({ kind: z.literal("label-shards"), shardsPerClient: int(1, 1_000) }),
  /** Each client's part of each label is drawn: the smaller alpha, the fewer labels a client has. */
  z.strictObject({ kind: z.literal("dirichlet"), alpha: real(1e-3, 1e6) }),
  /** A client for each role of a text that names its speakers. */
  z.strictObject({ kind: z.literal("role") }),
]);
export type PartitionSpec = z.infer<typeof PartitionSpec>;

export const SamplerSpec = z.discriminatedUnion("kind", [
  /** A seeded permutation; each training sample exactly once an epoch. */
  z.strictObject({ kind: z.literal("epoch") }),
  /** Windows at random positions of a text; the window's length is the model's context. */
  z.strictObject({ kind: z.literal("random-window") }),
  /** A position of the stream is a visit to one client, of all its samples `epochs` times. Only with mode `local-steps`. */
  z.strictObject({
    kind: z.literal("clients"),
    clients: int(1, MAX_CLIENTS),
    /** Of so many visits in a row none is to the same client: those of one round, where a round has so many leases. */
    perRound: int(1, MAX_CLIENTS),
    epochs: int(1, 10_000),
    partition: PartitionSpec,
  }),
]);
export type SamplerSpec = z.infer<typeof SamplerSpec>;

/** How long the coordinator keeps the bytes of admitted contributions. What may be missing follows from this alone. */
export const RetentionSpec = z.strictObject({
  contributions: z.union([
    z.literal("all"),
    /** Gone as soon as the version that counts them is on disk. */
    z.literal("none"),
    /** Those of the newest so many versions. */
    z.strictObject({ versions: int(1, 10_000_000) }),
  ]),
});
export type RetentionSpec = z.infer<typeof RetentionSpec>;

export const CodecName = z.enum(["f32", "f16", "int8", "int4", "ternary", "sign", "topk"]);
export type CodecName = z.infer<typeof CodecName>;
/** `auto`: the coordinator names one with each assignment, by how many contributions are averaged. */
export const CodecChoice = z.enum([...CodecName.options, "auto"]);
export type CodecChoice = z.infer<typeof CodecChoice>;

/** Rounds until the run is finished: so many rounds then lie behind its weights, at this version unless it was rolled back in between. */
const versions = int(1, 10_000_000);
/** Samples that a device computes at once; the last of a step or lease may be fewer. */
const microBatch = int(1, 65_536);
const clipNorm = z.optional(real(1e-6, 1e6));

/** In what devices hold the factors of matrix products; all else, sums and contributions included, is f32. */
export const Precision = z.enum(["f32", "f16"]);
export type Precision = z.infer<typeof Precision>;
/** A device that cannot do with `f16`, or does it wrongly, computes in f32. Absent: `f32`. */
const precision = z.optional(Precision);

/** How a version's weights reach who holds an earlier one: whole, or by int8 deltas from the version before. */
export const Downlink = z.enum(["f32", "int8"]);
export type Downlink = z.infer<typeof Downlink>;
/** Absent: `f32`. */
const downlink = z.optional(Downlink);

/** Every contribution is one gradient on the current version; the batch of a version is fixed, whoever computes it. */
export const GradientTraining = z.strictObject({
  mode: z.literal("gradient"),
  versions,
  samplesPerVersion: int(1, MAX_LEASE_SAMPLES),
  /** A lease is a whole number of micro-batches where the batch allows it. */
  microBatch,
  rule: RuleSpec,
  optimizer: OptimizerSpec,
  schedule: ScheduleSpec,
  /** Norm to which the aggregate is clipped; absent: not clipped. */
  clipNorm,
  codec: CodecChoice,
  precision,
  downlink,
});
export type GradientTraining = z.infer<typeof GradientTraining>;

/** How many local steps a lease has. */
export const WorkSpec = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("steps"), steps: int(1, MAX_LEASE_SAMPLES) }),
  /** As many as the device does in round.leaseMs, at least 1 and at most `most` (DyLU, arXiv 2401.09135). */
  z.strictObject({ kind: z.literal("timed"), most: int(1, MAX_LEASE_SAMPLES) }),
]);
export type WorkSpec = z.infer<typeof WorkSpec>;

const MAX_LEASES = 10_000;
/** When a round of local steps closes. */
export const RoundsSpec = z.discriminatedUnion("kind", [
  /** When all of its leases are in. */
  z.strictObject({ kind: z.literal("all"), leases: int(1, MAX_LEASES) }),
  /** A grace after `share` of its leases (absent: DEFAULT_QUORUM_SHARE) are in; at its deadline with fewer. */
  z.strictObject({ kind: z.literal("quorum"), leases: int(1, MAX_LEASES), share: z.optional(real(0.01, 1)) }),
  /** When so many contributions are in, whoever they are from; never fewer than a quarter of the volunteers that are here, which `auto` means. */
  z.strictObject({ kind: z.literal("async"), buffer: z.union([z.literal("auto"), int(1, MAX_LEASES)]) }),
]);
export type RoundsSpec = z.infer<typeof RoundsSpec>;
export const DEFAULT_QUORUM_SHARE = 0.7;

/** A contribution is what several steps on a device changed: base weights minus weights after them. */
export const LocalStepsTraining = z.strictObject({
  mode: z.literal("local-steps"),
  versions,
  /** Samples of one local step. */
  batch: microBatch,
  microBatch,
  /** Absent with the sampler `clients`, where a lease is a visit to one client. */
  work: z.optional(WorkSpec),
  inner: z.strictObject({
    optimizer: InnerOptimizerSpec,
    /** Norm to which the gradient of a local step is clipped; absent: not clipped. */
    clipNorm,
    /** Factor on the inner learning rate by the weights that a lease begins on, never by a volunteer's own count of steps. */
    schedule: ScheduleSpec,
    /** Whether a volunteer keeps the inner optimiser's state from one lease to its next; otherwise each lease begins without one. */
    keepState: z.boolean(),
  }),
  rounds: RoundsSpec,
  rule: RuleSpec,
  /** Takes the aggregate of the contributions for a gradient: sgd at rate 1 replaces the weights by the volunteers' mean. */
  optimizer: OptimizerSpec,
  codec: CodecChoice,
  precision,
  downlink,
});
export type LocalStepsTraining = z.infer<typeof LocalStepsTraining>;

export const TrainingSpec = z.discriminatedUnion("mode", [GradientTraining, LocalStepsTraining]);
export type TrainingSpec = z.infer<typeof TrainingSpec>;

export const RunSpec = z.strictObject({
  format: z.literal("weft-run/1"),
  name: DisplayName,
  description: z.string().check(z.minLength(1), z.maxLength(280)),
  /** SPDX identifier under which the trained model is published. */
  license: z.string().check(z.regex(/^[A-Za-z0-9.+-]{1,64}$/)),
  seed: int(0, 0xffff_ffff),
  dataset: DatasetId,
  sampler: SamplerSpec,
  model: ModelSpec,
  training: TrainingSpec,
  round: z.strictObject({
    /** How long a lease should take on the device that gets it. */
    leaseMs: int(100, 600_000),
    /** After this long an assignment is overdue and its lease is given again; for who comes back to a lease that it missed it is twice as long each time. */
    deadlineMs: int(1_000, 3_600_000),
    /** A contribution whose base is older than this many versions is refused. In gradient mode the base must be current: 0. */
    maxStaleness: int(0, 1_000),
  }),
  evaluation: z.strictObject({
    everyVersions: int(1, 100_000),
    /** Held-out samples (windows, for text) of one evaluation; at most all of them. */
    samples: int(1, 1_000_000),
  }),
  checkpoints: z.strictObject({ everyVersions: int(1, 1_000_000) }),
  /** Absent: DEFAULT_RETENTION. */
  retention: z.optional(RetentionSpec),
});
export type RunSpec = z.infer<typeof RunSpec>;
/** A specification of one mode. */
export type RunSpecOf<M extends TrainingSpec["mode"]> = RunSpec & { training: Extract<TrainingSpec, { mode: M }> };

export const DEFAULT_RETENTION: RetentionSpec = { contributions: { versions: 100 } };

/** Of how many of the newest versions the contributions are kept; Infinity: of all. */
export function keptVersions({ retention = DEFAULT_RETENTION }: Pick<RunSpec, "retention">): number {
  const { contributions } = retention;
  if (contributions === "all") return Number.POSITIVE_INFINITY;
  return contributions === "none" ? 0 : contributions.versions;
}
