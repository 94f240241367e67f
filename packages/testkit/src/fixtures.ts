// Small data sets and specifications for tests in process: as real ones in form, but computed in microseconds.
import type { DatasetLookup } from "@weft/coordinator";
import { canonicalBytes } from "@weft/ledger";
import type { DatasetManifest, RunSpecOf } from "@weft/protocol";
import type { Storage } from "@weft/storage";

const hash = (digit: string): string => digit.repeat(64);

/** 40 training and 10 held-out images of 2x2 pixels in 2 classes. */
export const TINY_IMAGES: DatasetManifest = {
  format: "weft-dataset/1",
  id: "tiny-images",
  name: "Tiny images",
  description: "Made for tests",
  source: "made for tests",
  license: "CC0-1.0",
  attribution: "none",
  citation: "",
  preprocessing: "none",
  files: [{ name: "tiny.bin", sizeBytes: 250, sha256: hash("a") }],
  form: { kind: "images", height: 2, width: 2, channels: 1, classes: 2, labels: ["no", "yes"], scale: 16 },
  train: [{ sha256: hash("b"), sizeBytes: 200, samples: 40 }],
  heldOut: [{ sha256: hash("c"), sizeBytes: 50, samples: 10 }],
};

/** 200 training and 50 held-out symbols of an alphabet of 3. */
export const TINY_TEXT: DatasetManifest = {
  ...TINY_IMAGES,
  id: "tiny-text",
  name: "Tiny text",
  form: { kind: "text", alphabet: ["a", "b", "c"] },
  train: [{ sha256: hash("d"), sizeBytes: 200, samples: 200 }],
  heldOut: [{ sha256: hash("e"), sizeBytes: 50, samples: 50 }],
};

/** Three versions of 8 samples over a model of 23 parameters. */
export const TINY_SPEC: RunSpecOf<"gradient"> = {
  format: "weft-run/1",
  name: "tiny",
  description: "Made for tests",
  license: "CC0-1.0",
  seed: 7,
  dataset: "tiny-images",
  sampler: { kind: "epoch" },
  model: { kind: "mlp", inputs: 4, hidden: [3], classes: 2 },
  training: {
    mode: "gradient",
    versions: 3,
    samplesPerVersion: 8,
    microBatch: 2,
    rule: { kind: "mean" },
    optimizer: { kind: "adamw", learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 },
    schedule: { kind: "constant", warmupVersions: 0 },
    codec: "f32",
  },
  round: { leaseMs: 1_000, deadlineMs: 30_000, maxStaleness: 0 },
  evaluation: { everyVersions: 1, samples: 10 },
  checkpoints: { everyVersions: 2 },
};

/** The same with an update of 458,760 bytes: two chunks. */
export const TWO_CHUNK_SPEC: RunSpecOf<"gradient"> = {
  ...TINY_SPEC,
  name: "two chunks",
  model: { kind: "mlp", inputs: 4, hidden: [16_384], classes: 2 },
};

/** Data sets by their manifests alone, stored as blobs. */
export function datasetsOf(storage: Storage, manifests: readonly DatasetManifest[] = [TINY_IMAGES, TINY_TEXT]): DatasetLookup {
  return {
    manifest: async (id) => {
      const manifest = manifests.find((candidate) => candidate.id === id);
      return manifest === undefined ? null : { manifest, blob: await storage.blobs.put(canonicalBytes(manifest)) };
    },
  };
}
