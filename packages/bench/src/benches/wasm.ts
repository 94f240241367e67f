// Bench `wasm`: a training step on our WASM kernels, as the engine makes it, against the same model on TensorFlow.js's own WASM backend:
// weights and batch in, gradients out, by turns in one process, medians.
import { createRequire } from "node:module";
import { dirname, sep } from "node:path";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { createEngine, type Engine } from "@weft/engine";
import { initialWeights, layoutFor, probeBatch } from "@weft/models";
import { lossSum, type ModelTensors } from "@weft/models/tf";
import type { ModelSpec } from "@weft/protocol";
import type { Batch } from "@weft/tensors";
import type { Bench, Row } from "../bench.ts";

interface Case {
  readonly name: string;
  readonly model: ModelSpec;
  readonly rows: number;
  /** Null: TensorFlow.js's WASM cannot train it, since it lacks the gradient of a convolution's filter. */
  readonly goal: number | null;
}

const gpt = (layers: number, width: number): ModelSpec => ({
  kind: "gpt",
  vocabulary: 65,
  context: 64,
  layers,
  heads: 4,
  width,
  bias: false,
  gelu: "tanh",
});
const CASES: readonly Case[] = [
  { name: "gpt, 2 layers, width 64, 8 windows of 64", model: gpt(2, 64), rows: 8, goal: 3 },
  { name: "gpt, 4 layers, width 128, 8 windows of 64", model: gpt(4, 128), rows: 8, goal: 3 },
  { name: "gpt, 2 layers, width 128, 4 windows of 64", model: gpt(2, 128), rows: 4, goal: 3 },
  { name: "mlp 784-200-200-10, 32 images", model: { kind: "mlp", inputs: 784, hidden: [200, 200], classes: 10 }, rows: 32, goal: 3 },
  {
    name: "lstm, 2 layers of 128, 8 windows of 80",
    model: { kind: "lstm", vocabulary: 81, context: 80, embedding: 8, layers: 2, hidden: 128 },
    rows: 8,
    goal: 3,
  },
  {
    name: "cnn 28x28, 32 and 64 channels 5x5, 32 images",
    model: { kind: "cnn", height: 28, width: 28, inChannels: 1, channels: [32, 64], kernel: 5, hidden: 512, classes: 10 },
    rows: 32,
    goal: null,
  },
];

/** The same step by TensorFlow.js's WASM kernels, with gradients read back. */
function stockStep(model: ModelSpec, weights: Float32Array, { inputs, targets, weights: shares, rows }: Batch): Float32Array {
  void tf.setBackend("wasm");
  const { parameters, size } = layoutFor(model);
  const flat = new Float32Array(size);
  tf.tidy(() => {
    const tensors = parameters.map((info) => tf.tensor(weights.slice(info.offset, info.offset + info.size), [...info.shape]));
    const batch: ModelTensors = {
      inputs: tf.tensor2d(inputs, [rows, inputs.length / rows], inputs instanceof Int32Array ? "int32" : "float32"),
      targets: tf.tensor1d(targets, "int32"),
      weights: tf.tensor1d(shares, "float32"),
    };
    const loss = (...given: tf.Tensor[]): tf.Scalar =>
      lossSum(model, new Map(parameters.map(({ name }, index) => [name, given[index] as tf.Tensor])), batch);
    const { grads } = tf.valueAndGrads(loss)(tensors);
    for (const [index, { offset }] of parameters.entries()) flat.set((grads[index] as tf.Tensor).dataSync<"float32">(), offset);
  });
  return flat;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

function furthest(a: Float32Array, b: Float32Array): number {
  let [difference, norm] = [0, 0];
  for (const [index, value] of a.entries()) {
    difference += (value - (b[index] as number)) ** 2;
    norm += (b[index] as number) ** 2;
  }
  return Math.sqrt(difference / norm);
}

async function measure(engine: Engine, { name, model, rows, goal }: Case, short: boolean, seed: number): Promise<readonly Row[]> {
  const weights = initialWeights(model, seed);
  const batch = probeBatch(model, rows, rows, seed);
  await engine.load(model, rows);
  const ours = async (): Promise<Float32Array> => {
    await engine.setWeights(weights);
    return (await engine.step(batch)).gradientSum;
  };
  const warm = await ours();
  if (goal !== null && furthest(warm, stockStep(model, weights, batch)) > 1e-4) throw new Error(`${name}: the two differ`);
  for (let step = 0; step < (short ? 2 : 20); step++) await ours();
  const [own, stock]: [number[], number[]] = [[], []];
  for (let turn = 0; turn < (short ? 3 : 9); turn++) {
    let from = performance.now();
    await ours();
    own.push(performance.now() - from);
    if (goal === null) continue;
    from = performance.now();
    stockStep(model, weights, batch);
    stock.push(performance.now() - from);
  }
  const perSecond = (1000 * batch.targets.length) / median(own);
  const unit = batch.targets.length === rows ? "images/s" : "tokens/s";
  const speed: Row = { figure: `${name}: ours`, value: perSecond, unit, goal: null, anchor: `${median(own).toPrecision(3)} ms a step` };
  if (goal === null) return [{ ...speed, note: "TensorFlow.js's WASM cannot train it" }];
  const ratio = median(stock) / median(own);
  const against: Row = {
    figure: `${name}: stock time over ours`,
    value: ratio,
    unit: "times",
    goal: { at: "least", value: goal },
    anchor: `TensorFlow.js's WASM, ${median(stock).toPrecision(3)} ms a step`,
  };
  return [speed, against];
}

export const wasmBench: Bench = {
  name: "wasm",
  about: "A training step on our WASM kernels against TensorFlow.js's own",
  async run({ short, seed, say }) {
    const folder = dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm"));
    setWasmPaths(`${folder}${sep}`);
    if (!(await tf.setBackend("wasm"))) throw new Error("TensorFlow.js's WASM did not start");
    const engine = await createEngine({ preference: "wasm", allowSoftwareGpu: false });
    const rows: Row[] = [];
    for (const each of CASES) {
      say(each.name);
      rows.push(...(await measure(engine, each, short, seed)));
    }
    engine.dispose();
    return rows;
  },
};
