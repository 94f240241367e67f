// The engines of simulated volunteers: noise of the right length, or real gradients from one engine that all of them share in turn; both as
// slow as the volunteer is meant to be. Knows no sockets.
import type { Engine } from "@weft/engine";
import { layoutFor } from "@weft/models";
import type { DeviceInfo, ModelSpec } from "@weft/protocol";
import type { Batch, StepResult } from "@weft/tensors";
import { systemClock, type VolunteerData, type VolunteerEngine } from "@weft/volunteer";
import { withLocalSteps } from "./local-steps.ts";

/** Lasts as long as the batch's real rows take at `samplesPerSecond`, counted from `sinceMs`. */
async function lastAsLong(batch: Batch, samplesPerSecond: number, sinceMs: number): Promise<number> {
  const rows = batch.weights.reduce((sum, weight) => sum + weight, 0);
  const leftMs = sinceMs + (1000 * rows) / samplesPerSecond - systemClock.now();
  if (leftMs > 0) await systemClock.sleep(leftMs);
  return rows;
}

/** Noise is drawn once for each length and shared: what it is does not matter, only that it is cheap and finite. */
const noises = new Map<number, Float32Array>();
function noiseOf(size: number): Float32Array {
  const known = noises.get(size);
  if (known !== undefined) return known;
  let state = size >>> 0;
  const noise = new Float32Array(size);
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    noise[at] = 1e-3 * (state / 2_147_483_648 - 1);
  }
  noises.set(size, noise);
  return noise;
}

const SYNTHETIC: DeviceInfo = { backend: "synthetic", description: "synthetic gradients", software: true };

export function syntheticEngine(samplesPerSecond: number): VolunteerEngine {
  let noise: Float32Array = new Float32Array(0);
  return withLocalSteps({
    device: SYNTHETIC,
    selfTest: async () => ({ passed: true, relativeError: 0, detail: "Nothing is computed." }),
    async load(model) {
      noise = noiseOf(layoutFor(model).size);
    },
    async setWeights(flat) {
      if (flat.length !== noise.length) throw new Error(`the model has ${noise.length} parameters, the weights ${flat.length}`);
    },
    async step(batch) {
      const rows = await lastAsLong(batch, samplesPerSecond, systemClock.now());
      return { lossSum: rows, gradientSum: noise };
    },
    dispose() {},
  });
}

/** Rows with weights and nothing in them: no shard is fetched for synthetic gradients. */
export const syntheticData: VolunteerData = {
  batch: async (_work, from, to, rows) => ({
    rows,
    inputs: new Float32Array(0),
    targets: new Int32Array(0),
    weights: Float32Array.from({ length: rows }, (_, row) => (row < to - from ? 1 : 0)),
  }),
};

/** Gives each volunteer its own model and weights on one engine; steps happen one after another. */
export function sharedEngine(engine: Engine): { volunteerEngine(samplesPerSecond: number): VolunteerEngine } {
  let turn: Promise<unknown> = Promise.resolve();
  let onIt: Float32Array | null = null;
  let tested: ReturnType<Engine["selfTest"]> | null = null;
  const inTurn = <T>(call: () => Promise<T>): Promise<T> => {
    const result = turn.then(call);
    turn = result.catch(() => undefined);
    return result;
  };
  return {
    volunteerEngine(samplesPerSecond) {
      let model: { readonly spec: ModelSpec; readonly microBatch: number } | null = null;
      let weights: Float32Array | null = null;
      return withLocalSteps({
        get device() {
          return engine.device;
        },
        selfTest() {
          tested ??= inTurn(() => engine.selfTest());
          return tested;
        },
        async load(spec, microBatch) {
          model = { spec, microBatch };
          await inTurn(() => engine.load(spec, microBatch));
        },
        async setWeights(flat) {
          weights = flat;
        },
        async step(batch): Promise<StepResult> {
          const beganMs = systemClock.now();
          const result = await inTurn(async () => {
            if (model === null || weights === null) throw new Error("a step needs a model and weights");
            await engine.load(model.spec, model.microBatch);
            if (onIt !== weights) await engine.setWeights(weights);
            onIt = weights;
            return engine.step(batch);
          });
          await lastAsLong(batch, samplesPerSecond, beganMs);
          return result;
        },
        dispose() {},
      });
    },
  };
}
