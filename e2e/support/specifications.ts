// Run specifications of the end-to-end tests: small enough for a software adapter, long enough that a lease has a middle.
import type { RunSpecOf } from "@weft/protocol";

/** A digits run whose leases last seconds on a software adapter: 768 samples a version in micro-batches of 16. */
export const slowDigits = (name: string, versions: number): RunSpecOf<"gradient"> => ({
  format: "weft-run/1",
  name,
  description: "Reads a handwritten digit, slowly enough to be watched",
  license: "Apache-2.0",
  seed: 11,
  dataset: "digits",
  sampler: { kind: "epoch" },
  model: { kind: "mlp", inputs: 64, hidden: [32], classes: 10 },
  training: {
    mode: "gradient",
    versions,
    samplesPerVersion: 768,
    microBatch: 16,
    rule: { kind: "mean" },
    optimizer: { kind: "adamw", learningRate: 0.04, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 },
    schedule: { kind: "cosine", warmupVersions: 2, finalFraction: 0.1 },
    codec: "f32",
  },
  round: { leaseMs: 4000, deadlineMs: 30_000, maxStaleness: 0 },
  evaluation: { everyVersions: 5, samples: 360 },
  checkpoints: { everyVersions: 20 },
});

/** Small language model of the six novels, in local steps that volunteers hand in when they are ready. `vocabulary`: of the data set. */
export const asynchronousNovels = (name: string, versions: number, vocabulary: number): RunSpecOf<"local-steps"> => ({
  format: "weft-run/1",
  name,
  description: "Writes on from a beginning, letter by letter",
  license: "Apache-2.0",
  seed: 17,
  dataset: "austen",
  sampler: { kind: "random-window" },
  model: { kind: "gpt", vocabulary, context: 32, layers: 1, heads: 2, width: 32, bias: false, gelu: "tanh" },
  training: {
    mode: "local-steps",
    versions,
    batch: 8,
    microBatch: 8,
    work: { kind: "steps", steps: 8 },
    inner: {
      optimizer: { kind: "adamw", learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 },
      clipNorm: 1,
      schedule: { kind: "constant", warmupVersions: 0 },
      keepState: true,
    },
    rounds: { kind: "async", buffer: 2 },
    rule: { kind: "mean" },
    optimizer: { kind: "sgd", learningRate: 1, momentum: 0, weightDecay: 0 },
    codec: "ternary",
  },
  round: { leaseMs: 2_000, deadlineMs: 60_000, maxStaleness: 10 },
  evaluation: { everyVersions: versions, samples: 128 },
  checkpoints: { everyVersions: versions },
  retention: { contributions: "all" },
});
