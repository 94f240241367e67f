// Specifications and the data set of a small run. For tests, in Node and in browsers.
import type { RunSpec } from "@weft/protocol";

export const SPEC: RunSpec = {
  format: "weft-run/1",
  name: "tiny",
  description: "A run for tests",
  license: "Apache-2.0",
  seed: 7,
  dataset: "tiny",
  sampler: { kind: "epoch" },
  model: { kind: "mlp", inputs: 4, hidden: [3], classes: 2 },
  training: {
    mode: "gradient",
    versions: 10,
    samplesPerVersion: 40,
    microBatch: 8,
    rule: { kind: "mean" },
    optimizer: { kind: "sgd", learningRate: 0.1, momentum: 0, weightDecay: 0 },
    schedule: { kind: "constant", warmupVersions: 0 },
    codec: "f32",
  },
  round: { leaseMs: 1_000, deadlineMs: 10_000, maxStaleness: 0 },
  evaluation: { everyVersions: 1, samples: 4 },
  checkpoints: { everyVersions: 10 },
};
const FILE = { sha256: "00".repeat(32), sizeBytes: 1 };
export const MANIFEST = {
  format: "weft-dataset/1",
  id: "tiny",
  name: "Tiny",
  description: "Nothing much",
  source: "made here",
  license: "CC0-1.0",
  attribution: "nobody",
  citation: "",
  preprocessing: "none",
  files: [{ name: "tiny", ...FILE }],
  form: { kind: "images", height: 2, width: 2, channels: 1, classes: 2, labels: ["a", "b"], scale: 1 },
  train: [{ ...FILE, samples: 40 }],
  heldOut: [],
};

/** Local steps of 8 samples each, in micro-batches of 4. */
export const LOCAL: RunSpec = {
  ...SPEC,
  training: {
    mode: "local-steps",
    versions: 10,
    batch: 8,
    microBatch: 4,
    work: { kind: "steps", steps: 3 },
    inner: {
      optimizer: { kind: "sgd", learningRate: 0.1, momentum: 0, weightDecay: 0 },
      schedule: { kind: "constant", warmupVersions: 0 },
      keepState: true,
    },
    rounds: { kind: "all", leases: 4 },
    rule: { kind: "mean" },
    optimizer: { kind: "sgd", learningRate: 1, momentum: 0, weightDecay: 0 },
    codec: "auto",
  },
  round: { leaseMs: 1_000, deadlineMs: 10_000, maxStaleness: 1 },
};
