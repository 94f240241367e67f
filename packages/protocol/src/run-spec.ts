// The run specification: one JSON object that says what is trained, on which data, by which rule. Schema and types only;
// `parseRunSpec` in run-spec-errors.ts turns a violation into a sentence with the field, the rule and a good value.
import * as z from "zod/mini";
import { DatasetId, DisplayName } from "./ids.ts";
import { MAX_LEASE_SAMPLES } from "./limits.ts";

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

export const OptimizerSpec = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("sgd"), learningRate: real(1e-9, 100), momentum: real(0, 0.9999), weightDecay: real(0, 1) }),
  z.strictObject({ kind: z.literal("nesterov"), learningRate: real(1e-9, 100), momentum: real(0, 0.9999), weightDecay: real(0, 1) }),
  z.strictObject({
    kind: z.literal("adamw"),
    learningRate: real(1e-9, 10),
    beta1: real(0, 0.9999),
    beta2: real(0, 0.999999),
    epsilon: real(1e-12, 0.1),
    weightDecay: real(0, 1),
  }),
]);
export type OptimizerSpec = z.infer<typeof OptimizerSpec>;

/** Factor on the learning rate as a function of the step alone: how many rounds lie behind the weights. */
export const ScheduleSpec = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("constant"), warmupVersions: int(0, 10_000_000) }),
  z.strictObject({ kind: z.literal("cosine"), warmupVersions: int(0, 10_000_000), finalFraction: real(0, 1) }),
  z.strictObject({ kind: z.literal("linear"), warmupVersions: int(0, 10_000_000), finalFraction: real(0, 1) }),
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

export const SamplerSpec = z.discriminatedUnion("kind", [
  /** A seeded permutation; each training sample exactly once an epoch. */
  z.strictObject({ kind: z.literal("epoch") }),
  /** Windows at random positions of a text; the window's length is the model's context. */
  z.strictObject({ kind: z.literal("random-window") }),
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

export const CodecName = z.enum(["f32", "f16", "int8", "int4", "ternary"]);
export type CodecName = z.infer<typeof CodecName>;

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
  training: z.strictObject({
    mode: z.literal("gradient"),
    /** The run is finished when so many rounds lie behind its weights: at this version, unless it was rolled back in between. */
    versions: int(1, 10_000_000),
    /** The batch of one version, whoever computes it. */
    samplesPerVersion: int(1, MAX_LEASE_SAMPLES),
    /** Samples that a device computes at once; a lease is a whole number of such micro-batches where the batch allows it. */
    microBatch: int(1, 65_536),
    rule: RuleSpec,
    optimizer: OptimizerSpec,
    schedule: ScheduleSpec,
    /** Norm to which the aggregate is clipped; absent: not clipped. */
    clipNorm: z.optional(real(1e-6, 1e6)),
    codec: CodecName,
  }),
  round: z.strictObject({
    /** How long a lease should take on the device that gets it. */
    leaseMs: int(100, 600_000),
    /** After this long an assignment is overdue and its lease is given again. */
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

export const DEFAULT_RETENTION: RetentionSpec = { contributions: { versions: 100 } };

/** Of how many of the newest versions the contributions are kept; Infinity: of all. */
export function keptVersions({ retention = DEFAULT_RETENTION }: Pick<RunSpec, "retention">): number {
  const { contributions } = retention;
  if (contributions === "all") return Number.POSITIVE_INFINITY;
  return contributions === "none" ? 0 : contributions.versions;
}
