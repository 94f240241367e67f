import type { OptimizerSpec, RunSpec } from "@weft/protocol";
import { applyDelta, codecNamed, norm, randomStream, readSafetensors } from "@weft/tensors";
import { describe, expect, it } from "vitest";
import { closeRound, type NextVersion } from "./close-round.ts";

const OPTIMIZERS: readonly OptimizerSpec[] = [
  { kind: "sgd", learningRate: 0.1, momentum: 0, weightDecay: 0 },
  { kind: "nesterov", learningRate: 0.1, momentum: 0.9, weightDecay: 0.01 },
  { kind: "adamw", learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 },
];
const specOf = (optimizer: OptimizerSpec, downlink?: "int8"): RunSpec =>
  ({
    seed: 5,
    training: { mode: "gradient", rule: { kind: "mean" }, optimizer, ...(downlink === undefined ? {} : { downlink }) },
  }) as unknown as RunSpec;

/** Two classes of points, far enough apart to be learnt and near enough that some stay wrong. */
const [WIDTH, POINTS] = [300, 120];
const random = randomStream(9, 0, "synthetic");
const LABELS = Array.from({ length: POINTS }, (_, point) => (point % 2 === 0 ? 1 : -1));
const INPUTS = LABELS.map((label) => Float64Array.from({ length: WIDTH }, () => random.normal() + 0.08 * label));

/** Logistic loss and its mean gradient. */
function lossOf(weights: Float32Array): { readonly loss: number; readonly gradient: Float32Array } {
  const gradient = new Float64Array(WIDTH);
  let loss = 0;
  for (const [point, input] of INPUTS.entries()) {
    const label = LABELS[point] as number;
    let margin = 0;
    for (let at = 0; at < WIDTH; at++) margin += label * (input[at] as number) * (weights[at] as number);
    loss += Math.log1p(Math.exp(-margin)) / POINTS;
    const slope = -label / (1 + Math.exp(margin)) / POINTS;
    for (let at = 0; at < WIDTH; at++) gradient[at] = (gradient[at] as number) + slope * (input[at] as number);
  }
  return { loss, gradient: Float32Array.from(gradient) };
}

function next(
  spec: RunSpec,
  before: Pick<NextVersion, "weights"> & { readonly optimizer: Uint8Array | null },
  steps: number,
  update: Float32Array,
): NextVersion {
  const encoded = codecNamed("f32")?.encode(update, { seed: 1, lease: 0 });
  if (encoded?.ok !== true) throw new Error("not encoded");
  const learningRate = Math.fround(spec.training.optimizer.learningRate);
  const closed = closeRound({ spec, ...before, steps, learningRate }, [{ samples: 1, codec: "f32", bytes: encoded.bytes }]);
  if (!closed.ok) throw new Error(closed.message);
  return closed.value;
}
const masterOf = ({ optimizer }: NextVersion): unknown => {
  const file = readSafetensors(optimizer);
  return file.ok ? file.tensors.get("master_weights")?.values : file;
};

describe.each(OPTIMIZERS)("int8 deltas with $kind", (optimizer) => {
  it("what is stepped has the bits of a run without them, where the contributions are the same; what is published is one delta behind at most", () => {
    const start = { weights: new Float32Array(WIDTH).fill(0.05), optimizer: null };
    let plain: Parameters<typeof next>[1] = start;
    let delta: Parameters<typeof next>[1] = start;
    for (let steps = 0; steps < 12; steps++) {
      const stream = randomStream(steps, 0, "synthetic");
      const update = Float32Array.from({ length: WIDTH }, () => Math.fround(stream.normal()));
      const published: Float32Array = delta.weights.slice();
      const [exact, close] = [next(specOf(optimizer), plain, steps, update), next(specOf(optimizer, "int8"), delta, steps, update)];
      expect(exact.delta).toBeNull();
      expect(masterOf(exact)).toBeUndefined();
      expect(masterOf(close)).toEqual(exact.weights);
      if (close.delta === null) throw new Error("no delta");
      expect(applyDelta(published, close.delta)).toBeNull();
      expect(published).toEqual(close.weights);
      expect(norm(close.weights.map((at, index) => at - (exact.weights[index] as number)))).toBeLessThan(0.01 * norm(exact.weights));
      expect(close.weights).not.toEqual(exact.weights);
      [plain, delta] = [exact, close];
    }
  });

  it("reaches the loss of a run without them", () => {
    const trained = (spec: RunSpec): number => {
      let version: Parameters<typeof next>[1] = { weights: new Float32Array(WIDTH), optimizer: null };
      for (let steps = 0; steps < 40; steps++) version = next(spec, version, steps, lossOf(version.weights).gradient);
      return lossOf(version.weights).loss;
    };
    const [exact, close] = [trained(specOf(optimizer)), trained(specOf(optimizer, "int8"))];
    expect(exact).toBeLessThan(0.5 * Math.LN2);
    expect(Math.abs(close - exact)).toBeLessThan(0.02 * exact);
  });
});

it("a change that no delta can say is published whole, and the next one is a delta again", () => {
  const [optimizer] = OPTIMIZERS as [OptimizerSpec];
  const spec = specOf(optimizer, "int8");
  const far = next(spec, { weights: new Float32Array(WIDTH), optimizer: null }, 0, new Float32Array(WIDTH).fill(-1e7));
  expect(far.delta).toBeNull();
  expect(masterOf(far)).toEqual(far.weights);
  expect(next(spec, far, 1, new Float32Array(WIDTH).fill(1)).delta).not.toBeNull();
});

it("a run without deltas that goes on from one with them begins with the weights that were stepped", () => {
  const [optimizer] = OPTIMIZERS as [OptimizerSpec];
  const update = Float32Array.from({ length: WIDTH }, (_, at) => Math.fround(Math.sqrt(at)));
  const start = { weights: new Float32Array(WIDTH), optimizer: null };
  const first = next(specOf(optimizer, "int8"), start, 0, update);
  const exact = next(specOf(optimizer), next(specOf(optimizer), start, 0, update), 1, update);
  const after = next(specOf(optimizer), first, 1, update);
  expect(after.weights).toEqual(exact.weights);
  expect(after.optimizer).toEqual(exact.optimizer);
});
