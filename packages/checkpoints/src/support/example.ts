// Small whole inputs for the tests of this package: one per kind of model.
import { appendRecords, canonicalBytes, createIdentity, emptyHead, sha256 } from "@weft/ledger";
import { type DatasetManifest, type EventOf, f32ToHex, type LedgerRecord, type ModelSpec, type RunSpec, readsText } from "@weft/protocol";
import { f32ToBytes, layoutOf, type ParameterLayout, randomStream } from "@weft/tensors";
import type { CheckpointFiles } from "../checkpoint-files.ts";

const sha = (digit: string): string => digit.repeat(64);

export const MLP = { kind: "mlp", inputs: 4, hidden: [3], classes: 2 } as const;
export const CNN = {
  kind: "cnn",
  height: 8,
  width: 8,
  inChannels: 1,
  channels: [2, 3],
  kernel: 3,
  hidden: 5,
  classes: 2,
} as unknown as ModelSpec;
export const GPT = { kind: "gpt", vocabulary: 6, context: 8, layers: 1, heads: 2, width: 4, bias: false, gelu: "exact" } as const;
export const LSTM = { kind: "lstm", vocabulary: 6, context: 8, embedding: 2, layers: 1, hidden: 3 } as const;
export const ALPHABET = ["\n", " ", '"', "0", "1", "é"];

const gptLayout = (bias: boolean): ParameterLayout => {
  const pair = (name: string, shape: number[]) => [
    { name: `transformer.${name}.weight`, shape },
    ...(bias ? [{ name: `transformer.${name}.bias`, shape: [shape.at(-1) as number] }] : []),
  ];
  return layoutOf([
    { name: "transformer.wte.weight", shape: [6, 4] },
    { name: "transformer.wpe.weight", shape: [8, 4] },
    ...pair("h.0.ln_1", [4]),
    ...pair("h.0.attn.c_attn", [4, 12]),
    ...pair("h.0.attn.c_proj", [4, 4]),
    ...pair("h.0.ln_2", [4]),
    ...pair("h.0.mlp.c_fc", [4, 16]),
    ...pair("h.0.mlp.c_proj", [16, 4]),
    ...pair("ln_f", [4]),
  ]);
};
const LAYOUTS = {
  mlp: layoutOf([
    { name: "fc1.weight", shape: [3, 4] },
    { name: "fc1.bias", shape: [3] },
    { name: "fc2.weight", shape: [2, 3] },
    { name: "fc2.bias", shape: [2] },
  ]),
  cnn: layoutOf([
    { name: "conv1.weight", shape: [2, 1, 3, 3] },
    { name: "conv1.bias", shape: [2] },
    { name: "conv2.weight", shape: [3, 2, 3, 3] },
    { name: "conv2.bias", shape: [3] },
    { name: "fc1.weight", shape: [5, 12] },
    { name: "fc1.bias", shape: [5] },
    { name: "fc2.weight", shape: [2, 5] },
    { name: "fc2.bias", shape: [2] },
  ]),
  lstm: layoutOf([
    { name: "embedding.weight", shape: [6, 2] },
    { name: "lstm.weight_ih_l0", shape: [12, 2] },
    { name: "lstm.weight_hh_l0", shape: [12, 3] },
    { name: "lstm.bias_ih_l0", shape: [12] },
    { name: "lstm.bias_hh_l0", shape: [12] },
    { name: "fc.weight", shape: [6, 3] },
    { name: "fc.bias", shape: [6] },
  ]),
};

const manifestOf = (model: ModelSpec): DatasetManifest => ({
  format: "weft-dataset/1",
  id: readsText(model) ? "verses" : "marks",
  name: "Marks & verses",
  description: "Small <b>made</b> data",
  source: "https://example.org/data",
  license: "CC-BY-4.0",
  attribution: "Collected by A. Person | 1998",
  citation: "@misc{marks, title = {Marks}}\n```",
  preprocessing: "Nothing",
  files: [{ name: "marks.csv", sizeBytes: 10, sha256: sha("1") }],
  form: readsText(model)
    ? { kind: "text", alphabet: ALPHABET }
    : { kind: "images", height: 2, width: 2, channels: 1, classes: 2, labels: ["no", "yes"], scale: 16 },
  train: [{ sha256: sha("2"), sizeBytes: 40, samples: 1437 }],
  heldOut: [{ sha256: sha("3"), sizeBytes: 10, samples: 360 }],
});

const specOf = (model: ModelSpec): RunSpec => ({
  format: "weft-run/1",
  name: "Marks",
  description: "Tells *yes* from no",
  license: "Apache-2.0",
  seed: 7,
  dataset: "marks",
  sampler: { kind: readsText(model) ? "random-window" : "epoch" },
  model,
  training: {
    mode: "gradient",
    versions: 240,
    samplesPerVersion: 256,
    microBatch: 32,
    rule: { kind: "mean" },
    optimizer: { kind: "sgd", learningRate: 0.1, momentum: 0.9, weightDecay: 0 },
    schedule: { kind: "constant", warmupVersions: 0 },
    codec: "int8",
  },
  round: { leaseMs: 3000, deadlineMs: 30_000, maxStaleness: 0 },
  evaluation: { everyVersions: 10, samples: 360 },
  checkpoints: { everyVersions: 60 },
});

export const coordinator = createIdentity(new Uint8Array(32).fill(9));

/** The run's first record and the one that made version 120, as a ledger of 512 records would hold them. */
function recordsOf(spec: RunSpec, manifest: DatasetManifest, weights: Float32Array, optimizer: Uint8Array): CheckpointFiles["provenance"] {
  const blob = (bytes: Uint8Array) => ({ sha256: sha256(bytes), sizeBytes: bytes.length });
  const event: EventOf<"run-created"> = {
    type: "run-created",
    run: "marks",
    spec,
    dataset: blob(canonicalBytes(manifest)),
    weights: { sha256: sha("7"), sizeBytes: 4 * weights.length },
    parameters: weights.length,
    coordinator: coordinator.publicKey,
    code: "0123abc",
    origin: null,
  };
  const made: EventOf<"version-published"> = {
    type: "version-published",
    version: 120,
    weights: blob(f32ToBytes(weights)),
    optimizer: blob(optimizer),
    learningRate: f32ToHex(0.1),
    norm: f32ToHex(1),
    lossMean: f32ToHex(0.5),
    samples: 256,
    contributions: [{ lease: "119.0", volunteer: sha("a"), sha256: sha("8"), samples: 256, weight: f32ToHex(1), reason: null }],
  };
  const previous = sha("5");
  const [first] = appendRecords(emptyHead("marks"), [event], 1_000, coordinator.sign);
  const [last] = appendRecords({ run: "marks", seq: 511, hash: previous }, [made], 2_000, coordinator.sign);
  return {
    created: { ...(first as LedgerRecord), event },
    previous,
    coordinator: coordinator.publicKey,
    made: { ...(last as LedgerRecord), event: made },
  };
}

export function example(model: ModelSpec = MLP as unknown as ModelSpec): CheckpointFiles {
  const layout = model.kind === "gpt" ? gptLayout(model.bias) : LAYOUTS[model.kind];
  const random = randomStream(3, 0);
  const weights = Float32Array.from({ length: layout.size }, () => random.normal());
  const [spec, manifest] = [specOf(model), manifestOf(model)];
  const optimizer = Uint8Array.from({ length: 100 }, (_, index) => index);
  return {
    run: "marks",
    version: 120,
    spec,
    manifest,
    weights,
    weightsSha256: sha256(f32ToBytes(weights)),
    layout,
    metrics: [
      { version: 60, lossMean: 0.75, accuracy: 0.5 },
      { version: 120, lossMean: 0.25, accuracy: 0.9722 },
    ],
    contributors: [
      { name: "Ada", samples: 20_000 },
      { name: "b3e·91b0", samples: 10_720 },
    ],
    training: { steps: 118, position: 118 * 256, optimizer },
    provenance: recordsOf(spec, manifest, weights, optimizer),
  };
}
