// A small run as a list of events, for tests of whatever reads ledgers. Two volunteers; one lease expires and is answered by the other.
import { type ContributionHeader, type DatasetManifest, f32ToHex, type LedgerEvent, type RunSpec } from "@weft/protocol";
import { createIdentity } from "../src/signatures.ts";

export const coordinator = createIdentity(new Uint8Array(32).fill(9));
export const ada = createIdentity(new Uint8Array(32).fill(1));
export const bob = createIdentity(new Uint8Array(32).fill(2));

export const spec: RunSpec = {
  format: "weft-run/1",
  name: "Digits",
  description: "Small digits.",
  license: "CC0-1.0",
  seed: 7,
  dataset: "digits",
  sampler: { kind: "epoch" },
  model: { kind: "mlp", inputs: 64, hidden: [32], classes: 10 },
  training: {
    mode: "gradient",
    versions: 100_000,
    samplesPerVersion: 16,
    microBatch: 8,
    rule: { kind: "mean" },
    optimizer: { kind: "sgd", learningRate: 0.1, momentum: 0.9, weightDecay: 0 },
    schedule: { kind: "constant", warmupVersions: 0 },
    codec: "f32",
  },
  round: { leaseMs: 2_000, deadlineMs: 10_000, maxStaleness: 0 },
  evaluation: { everyVersions: 2, samples: 100 },
  checkpoints: { everyVersions: 4 },
};

export const manifest: DatasetManifest = {
  format: "weft-dataset/1",
  id: "digits",
  name: "Digits",
  description: "1,797 images",
  source: "https://example.org",
  license: "CC-BY-4.0",
  attribution: "Somebody",
  citation: "",
  preprocessing: "none",
  files: [{ name: "digits.csv", sizeBytes: 1, sha256: "d".repeat(64) }],
  form: { kind: "images", height: 8, width: 8, channels: 1, classes: 10, labels: [], scale: 16 },
  train: [{ sha256: "e".repeat(64), sizeBytes: 65, samples: 1_437 }],
  heldOut: [{ sha256: "f".repeat(64), sizeBytes: 65, samples: 360 }],
};

const hashOf = (n: number): string => n.toString(16).padStart(64, "0");
const weightsOf = (version: number) => ({ sha256: hashOf(1_000 + version), sizeBytes: 9_000 });
const device = { backend: "webgpu", description: "Some GPU", software: false } as const;

export const created: LedgerEvent = {
  type: "run-created",
  run: "digits",
  spec,
  dataset: { sha256: hashOf(2), sizeBytes: 20 },
  weights: weightsOf(0),
  parameters: 2_410,
  coordinator: coordinator.publicKey,
  code: "test",
};

function admitted(version: number, index: number, attempt: number, volunteer: typeof ada): LedgerEvent {
  const header: ContributionHeader = {
    run: "digits",
    lease: `${version}.${index}`,
    attempt,
    volunteer: volunteer.publicKey,
    base: weightsOf(version).sha256,
    codec: "f32",
    samples: 8,
    lossMean: f32ToHex(1 / (version + 1)),
    computeMs: 10,
    sizeBytes: 9_640,
    sha256: hashOf(100_000 + 2 * version + index),
  };
  return { type: "contribution-admitted", header, signature: "0".repeat(128), norm: f32ToHex(0.5) };
}

/** Ada takes both leases, answers one, lets the other expire, and Bob answers that; every eighth version Bob first sends garbage. */
function roundEvents(version: number): LedgerEvent[] {
  const [first, second] = [`${version}.0`, `${version}.1`];
  const start = 16 * version;
  const lease = { type: "lease-assigned", attempt: 1, volunteer: ada.publicKey, samples: 8, deadlineAtMs: 10_000 } as const;
  const share = (index: number, volunteer: typeof ada) => ({
    lease: `${version}.${index}`,
    volunteer: volunteer.publicKey,
    sha256: hashOf(100_000 + 2 * version + index),
    samples: 8,
    weight: f32ToHex(0.5),
    reason: null,
  });
  const events: LedgerEvent[] = [
    { type: "round-opened", base: version, start, samples: 16, learningRate: f32ToHex(0.1) },
    { ...lease, lease: first, start },
    { ...lease, lease: second, start: start + 8 },
    admitted(version, 0, 1, ada),
    { type: "assignment-ended", lease: second, attempt: 1, volunteer: ada.publicKey, reason: "expired" },
  ];
  if (version % 8 === 7)
    events.push({ type: "contribution-refused", volunteer: bob.publicKey, lease: second, code: "not-finite", detail: "NaN at 3" });
  events.push({ ...lease, lease: second, start: start + 8, attempt: 2, volunteer: bob.publicKey }, admitted(version, 1, 2, bob), {
    type: "version-published",
    version: version + 1,
    weights: weightsOf(version + 1),
    optimizer: { sha256: hashOf(5_000_000 + version), sizeBytes: 9_000 },
    learningRate: f32ToHex(0.1),
    norm: f32ToHex(0.25),
    lossMean: f32ToHex(1 / (version + 1)),
    samples: 16,
    contributions: [share(0, ada), share(1, bob)],
  });
  const evaluation = { lossMean: f32ToHex(2 / (version + 2)), accuracy: f32ToHex(0.5), samples: 100 };
  if ((version + 1) % 2 === 0) events.push({ type: "version-evaluated", version: version + 1, evaluation });
  if ((version + 1) % 4 === 0)
    events.push({ type: "checkpoint-written", version: version + 1, archive: { sha256: hashOf(7), sizeBytes: 12_000 } });
  return events;
}

/** A run of so many versions, without its end. */
export function story(versions: number): LedgerEvent[] {
  return [
    created,
    { type: "volunteer-joined", volunteer: ada.publicKey, name: "Ada", device },
    { type: "volunteer-joined", volunteer: bob.publicKey, name: null, device },
    ...Array.from({ length: versions }, (_, version) => roundEvents(version)).flat(),
  ];
}
