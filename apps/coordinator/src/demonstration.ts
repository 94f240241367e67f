// The two runs that a coordinator makes where it has none, so that there is something to train from the first minute.
import type { DatasetManifest, RunSpec, RunSpecOf } from "@weft/protocol";

const MINUTE_MS = 60_000;

/** A small network that reads handwritten digits: a minute or two on anything. */
export const digitsRun = (): RunSpecOf<"gradient"> => ({
  format: "weft-run/1",
  name: "digits",
  description: "Reads a handwritten digit from a picture of 8 by 8 points.",
  license: "Apache-2.0",
  seed: 7,
  dataset: "digits",
  sampler: { kind: "epoch" },
  model: { kind: "mlp", inputs: 64, hidden: [32], classes: 10 },
  training: {
    mode: "gradient",
    versions: 240,
    samplesPerVersion: 256,
    microBatch: 32,
    rule: { kind: "mean" },
    optimizer: { kind: "adamw", learningRate: 0.02, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 },
    schedule: { kind: "cosine", warmupVersions: 10, finalFraction: 0.1 },
    codec: "f32",
  },
  round: { leaseMs: 3_000, deadlineMs: 30_000, maxStaleness: 0 },
  evaluation: { everyVersions: 5, samples: 360 },
  checkpoints: { everyVersions: 60 },
});

/** A small language model of the novels' characters; one micro-batch fits a 5 s lease on the slowest fallback. */
export const austenRun = (vocabulary: number): RunSpecOf<"gradient"> => ({
  format: "weft-run/1",
  name: "austen",
  description: "Writes on from a beginning, letter by letter, after six novels by Jane Austen.",
  license: "Apache-2.0",
  seed: 11,
  dataset: "austen",
  sampler: { kind: "random-window" },
  model: { kind: "gpt", vocabulary, context: 64, layers: 2, heads: 4, width: 64, bias: false, gelu: "tanh" },
  training: {
    mode: "gradient",
    versions: 2_000,
    samplesPerVersion: 32,
    microBatch: 4,
    rule: { kind: "mean" },
    optimizer: { kind: "adamw", learningRate: 0.003, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 },
    schedule: { kind: "cosine", warmupVersions: 50, finalFraction: 0.1 },
    clipNorm: 1,
    codec: "f16",
  },
  round: { leaseMs: 5_000, deadlineMs: MINUTE_MS, maxStaleness: 0 },
  evaluation: { everyVersions: 20, samples: 64 },
  checkpoints: { everyVersions: 200 },
});

/** In the order in which they are made; only those whose data set is there. */
export const demonstrationRuns = (manifests: readonly DatasetManifest[]): readonly RunSpec[] => {
  const austen = manifests.find(({ id }) => id === "austen");
  return [
    ...(manifests.some(({ id }) => id === "digits") ? [digitsRun()] : []),
    ...(austen?.form.kind === "text" ? [austenRun(austen.form.alphabet.length)] : []),
  ];
};
