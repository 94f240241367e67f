// One version of gradient mode computed in leases, as volunteers and coordinator do: micro-batches with padding, means over each lease's
// samples in f32, the round closed by the coordinator's own function.
import { probeBatch, probeWeights } from "@weft/models";
import type { ModelSpec, OptimizerSpec, RunSpec } from "@weft/protocol";
import { type Batch, codecNamed } from "@weft/tensors";
import { closeRound, type RoundContribution } from "../../training/src/close-round.ts";
import type { Engine } from "../src/index.ts";

export const SAMPLES = 29;
/** Uneven on purpose; none but the first is a whole number of micro-batches. */
export const SPLITS: Record<number, readonly number[]> = { 1: [29], 3: [3, 17, 9], 7: [1, 2, 3, 4, 5, 6, 8] };
export const OPTIMIZERS: readonly OptimizerSpec[] = [
  { kind: "sgd", learningRate: 0.1, momentum: 0.9, weightDecay: 0 },
  { kind: "adamw", learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-6, weightDecay: 0.1 },
];

/** Rows `from` to `to` of `whole`, padded to `rows` with rows that weigh nothing. */
function slice(whole: Batch, from: number, to: number, rows: number): Batch {
  const part = <T extends Float32Array | Int32Array>(values: T): T => {
    const width = values.length / whole.rows;
    const padded = values.slice(0, rows * width).fill(0) as T;
    padded.set(values.subarray(from * width, to * width));
    return padded;
  };
  return { rows, inputs: part(whole.inputs), targets: part(whole.targets), weights: part(whole.weights) };
}

/** The mean gradient over rows `from` to `to`, in micro-batches of `microBatch`. */
async function lease(engine: Engine, whole: Batch, from: number, to: number, microBatch: number): Promise<Float32Array> {
  let sum: Float32Array | null = null;
  for (let at = from; at < to; at += microBatch) {
    const { gradientSum } = await engine.step(slice(whole, at, Math.min(at + microBatch, to), microBatch));
    sum = sum === null ? gradientSum : sum.map((value, index) => value + (gradientSum[index] as number));
  }
  return (sum as Float32Array).map((value) => value / (to - from));
}

/** Weights of version 1 for each optimiser, and those of version 0. */
export async function versionAfter(engine: Engine, model: ModelSpec, microBatch: number, sizes: readonly number[]) {
  const whole = probeBatch(model, SAMPLES, SAMPLES, 82);
  const weights = probeWeights(model, 81);
  await engine.load(model, microBatch);
  await engine.setWeights(weights);
  const contributions: RoundContribution[] = [];
  let from = 0;
  for (const samples of sizes) {
    const encoded = codecNamed("f32")?.encode(await lease(engine, whole, from, from + samples, microBatch), { seed: 1, lease: from });
    if (encoded?.ok !== true) throw new Error("The gradient was not encoded");
    contributions.push({ samples, codec: "f32", bytes: encoded.bytes });
    from += samples;
  }
  return OPTIMIZERS.map((optimizer) => {
    const spec = { training: { rule: { kind: "mean" }, optimizer } } as unknown as RunSpec;
    const closed = closeRound(
      { spec, weights, steps: 0, optimizer: null, learningRate: Math.fround(optimizer.learningRate) },
      contributions,
    );
    if (!closed.ok) throw new Error(closed.message);
    return { optimizer: optimizer.kind, before: weights, after: closed.value.weights };
  });
}
