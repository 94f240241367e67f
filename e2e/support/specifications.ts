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
