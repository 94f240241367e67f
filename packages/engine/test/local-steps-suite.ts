// Local steps of an engine, held against the same steps in f64. One suite for every backend.
import { probeBatch, probeWeights } from "@weft/models";
import type { ModelSpec } from "@weft/protocol";
import { type Batch, type LocalSteps, type OptimizerKind, type StepBatches, samplesIn } from "@weft/tensors";
import { expect, it } from "vitest";
import { relativeError, SMALL_MODELS } from "../../models/test/cases.ts";
import { reference } from "../../models/test/reference-models.ts";
import type { Engine } from "../src/index.ts";
import { piecesOf } from "../src/micro-batches.ts";

export const SGD: LocalSteps = {
  steps: 5,
  optimizer: { kind: "sgd", momentum: 0.9, weightDecay: 0.01 },
  learningRate: 0.1,
  clipNorm: 0.5,
  state: null,
};
/** The gradient of a key's bias is 0 but for rounding: a smaller epsilon would make steps of it. */
export const ADAMW: LocalSteps = {
  steps: 5,
  optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.99, epsilon: 1e-4, weightDecay: 0.1 },
  learningRate: 0.01,
  clipNorm: Number.POSITIVE_INFINITY,
  state: null,
};
const ROWS = 6;

/** The samples of each step: six, and three in the last. */
export const wholeBatch = (model: ModelSpec, step: number, steps = 5): Batch =>
  probeBatch(model, ROWS, step === steps - 1 ? 3 : ROWS, 500 + step);

/** As micro-batches of `rows` rows, the last padded; those without a sample are left out. */
export const batchesOf =
  (model: ModelSpec, rows: number, steps = 5): StepBatches =>
  async (step) =>
    microBatches(wholeBatch(model, step, steps), rows);

function microBatches(whole: Batch, rows: number): readonly Batch[] {
  if (rows <= whole.rows) return piecesOf(whole, rows).filter((piece) => samplesIn([piece]) > 0);
  const padded = <T extends Float32Array | Int32Array>(values: T): T => {
    const wide = (
      values instanceof Int32Array
        ? new Int32Array(rows * (values.length / whole.rows))
        : new Float32Array(rows * (values.length / whole.rows))
    ) as T;
    wide.set(values);
    return wide;
  };
  return [{ rows, inputs: padded(whole.inputs), targets: padded(whole.targets), weights: padded(whole.weights) }];
}

interface Expected {
  readonly update: Float64Array;
  readonly lossSum: number;
  readonly samples: number;
}

/** State between two runs of steps. */
interface F64State {
  readonly first: Float64Array;
  readonly second: Float64Array;
  count: number;
}
export const freshState = (size: number): F64State => ({ first: new Float64Array(size), second: new Float64Array(size), count: 0 });

/** The same steps with f64 gradients and an f64 optimiser, written from torch.optim's formulas. */
export function expectedSteps(
  model: ModelSpec,
  base: Float32Array,
  { steps, optimizer, learningRate, clipNorm }: LocalSteps,
  state: F64State = freshState(base.length),
): Expected {
  const weights = Float64Array.from(base);
  let lossSum = 0;
  let samples = 0;
  for (let step = 0; step < steps; step++) {
    const batch = wholeBatch(model, step, steps);
    const count = samplesIn([batch]);
    const result = reference(model, weights, batch);
    lossSum += result.lossSum;
    samples += count;
    const mean = result.gradientSum.map((value) => value / count);
    const norm = Math.hypot(...mean);
    const factor = Math.min(1, clipNorm / (norm + 1e-6));
    apply(optimizer, weights, mean, factor, learningRate, state);
  }
  return { update: weights.map((weight, at) => (base[at] as number) - weight), lossSum, samples };
}

function apply(optimizer: OptimizerKind, weights: Float64Array, mean: Float64Array, factor: number, rate: number, state: F64State): void {
  state.count += 1;
  for (let at = 0; at < weights.length; at++) {
    const weight = weights[at] as number;
    const gradient = factor * (mean[at] as number);
    if (optimizer.kind === "sgd") {
      const velocity = optimizer.momentum * (state.first[at] as number) + gradient + optimizer.weightDecay * weight;
      state.first[at] = velocity;
      weights[at] = weight - rate * velocity;
      continue;
    }
    const { beta1, beta2, epsilon, weightDecay } = optimizer;
    const m = beta1 * (state.first[at] as number) + (1 - beta1) * gradient;
    const v = beta2 * (state.second[at] as number) + (1 - beta2) * gradient * gradient;
    state.first[at] = m;
    state.second[at] = v;
    const scaled = m / (1 - beta1 ** state.count) / (Math.sqrt(v / (1 - beta2 ** state.count)) + epsilon);
    weights[at] = weight - rate * weightDecay * weight - rate * scaled;
  }
}

/** Begins before `engine` is there: it is asked for in each test. */
export function localStepsSuite(engine: () => Engine): void {
  for (const [name, model] of Object.entries(SMALL_MODELS))
    for (const work of [SGD, ADAMW])
      it(`${name}: five steps of ${work.optimizer.kind} agree with f64 to 1e-4, whatever the micro-batch, a short last batch among them`, async () => {
        const weights = probeWeights(model, 401);
        const expected = expectedSteps(model, weights, work);
        for (const rows of [ROWS, 4, 8]) {
          await engine().load(model, rows);
          await engine().setWeights(weights);
          const result = await engine().localSteps(work, batchesOf(model, rows));
          expect(result?.samples).toBe(expected.samples);
          expect(relativeError([result?.lossSum ?? 0], [expected.lossSum])).toBeLessThan(1e-5);
          expect(relativeError(result?.update ?? [], expected.update), `${rows} rows`).toBeLessThan(1e-4);
        }
      });

  it("leaves the weights that were set: the same steps give the same again, and a gradient is that of before", async () => {
    const model = SMALL_MODELS.mlp;
    const [weights, batch] = [probeWeights(model, 411), wholeBatch(model, 0)];
    await engine().load(model, ROWS);
    await engine().setWeights(weights);
    const gradient = await engine().step(batch);
    const first = await engine().localSteps(ADAMW, batchesOf(model, ROWS));
    expect(await engine().step(batch)).toEqual(gradient);
    expect(await engine().localSteps(ADAMW, batchesOf(model, ROWS))).toEqual(first);
  });

  it("goes on with the optimiser's state of the same name, and of no other", async () => {
    const model = SMALL_MODELS.mlp;
    const weights = probeWeights(model, 421);
    await engine().load(model, ROWS);
    await engine().setWeights(weights);
    const steps = (state: string | null) => engine().localSteps({ ...ADAMW, state }, batchesOf(model, ROWS));
    const updateOf = async (state: string | null): Promise<Float32Array> => (await steps(state))?.update ?? new Float32Array();
    const held = freshState(weights.length);
    const [fresh, next] = [expectedSteps(model, weights, ADAMW, held), expectedSteps(model, weights, ADAMW, held)];
    expect(relativeError(await updateOf("one"), fresh.update)).toBeLessThan(1e-4);
    expect(relativeError(await updateOf("one"), next.update)).toBeLessThan(1e-4);
    expect(relativeError(await updateOf("other"), fresh.update)).toBeLessThan(1e-4);
    expect(relativeError(await updateOf(null), fresh.update)).toBeLessThan(1e-4);
    expect(relativeError(await updateOf(null), fresh.update)).toBeLessThan(1e-4);
    expect(relativeError(next.update, fresh.update)).toBeGreaterThan(0.01);
  });

  it("given up between two steps gives null, asks for nothing more, leaves the weights and forgets the state", async () => {
    const model = SMALL_MODELS.mlp;
    const weights = probeWeights(model, 431);
    const work = { ...SGD, state: "run" };
    await engine().load(model, ROWS);
    await engine().setWeights(weights);
    await engine().localSteps(work, batchesOf(model, ROWS));
    const asked: number[] = [];
    const given = await engine().localSteps(work, async (step) => {
      asked.push(step);
      return step === 2 ? null : batchesOf(model, ROWS)(step);
    });
    expect(given).toBeNull();
    expect(asked).toEqual([0, 1, 2]);
    const expected = expectedSteps(model, weights, work);
    const result = await engine().localSteps(work, batchesOf(model, ROWS));
    expect(relativeError(result?.update ?? [], expected.update)).toBeLessThan(1e-4);
  });

  it("asks for a step's samples when the one before is done, and passes on why they cannot be had", async () => {
    const model = SMALL_MODELS.mlp;
    await engine().load(model, ROWS);
    await engine().setWeights(probeWeights(model, 441));
    const failing: StepBatches = async (step) => {
      if (step === 1) throw new Error("no such shard");
      return batchesOf(model, ROWS)(step);
    };
    await expect(engine().localSteps(SGD, failing)).rejects.toThrow("no such shard");
    await expect(engine().localSteps(SGD, async () => [])).rejects.toThrow("no samples");
    expect((await engine().localSteps(SGD, batchesOf(model, ROWS)))?.samples).toBe(27);
  });
}
