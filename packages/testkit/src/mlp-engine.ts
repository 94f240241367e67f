// Real gradients of an mlp in plain arithmetic, for volunteers in tests and benches: no tensors' library to load, the same numbers in every
// process. Layers are y = W x + b with W [out, in] and a rectifier between them, as in packages/models. Knows no volunteer and no sockets.
import { layoutFor } from "@weft/models";
import type { ModelSpec } from "@weft/protocol";
import { type Batch, type StepResult, viewOf } from "@weft/tensors";
import type { VolunteerEngine } from "@weft/volunteer";
import { withLocalSteps } from "./local-steps.ts";

type MlpSpec = Extract<ModelSpec, { kind: "mlp" }>;

interface Layer {
  readonly matrix: Float32Array;
  readonly bias: Float32Array;
}
const layersOf = (model: MlpSpec, flat: Float32Array): Layer[] => {
  const views = layoutFor(model).parameters.map((parameter) => viewOf(flat, parameter));
  return Array.from({ length: views.length / 2 }, (_, at) => ({
    matrix: views[2 * at] as Float32Array,
    bias: views[2 * at + 1] as Float32Array,
  }));
};

/** Sum over the batch's rows, weighted, of the cross-entropy and of its gradient (back-propagation [Rumelhart et al. 1986]), in f64 within a row. */
export function mlpStep(model: MlpSpec, weights: Float32Array, batch: Batch): StepResult {
  const layers = layersOf(model, weights);
  const gradientSum = new Float32Array(weights.length);
  const gradients = layersOf(model, gradientSum);
  const width = batch.inputs.length / batch.rows;
  let lossSum = 0;
  for (let row = 0; row < batch.rows; row++) {
    const weight = batch.weights[row] as number;
    if (weight === 0) continue;
    // What enters each layer, then the logits.
    const values: Float64Array[] = [Float64Array.from(batch.inputs.subarray(row * width, (row + 1) * width))];
    for (const [at, { matrix, bias }] of layers.entries()) {
      const below = values[at] as Float64Array;
      const above = Float64Array.from(bias);
      for (let output = 0; output < above.length; output++) {
        let sum = above[output] as number;
        for (let input = 0; input < below.length; input++)
          sum += (matrix[output * below.length + input] as number) * (below[input] as number);
        above[output] = at < layers.length - 1 ? Math.max(0, sum) : sum;
      }
      values.push(above);
    }
    const logits = values[layers.length] as Float64Array;
    const highest = Math.max(...logits);
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit - highest), 0);
    const target = batch.targets[row] as number;
    lossSum += weight * (highest + Math.log(total) - (logits[target] as number));
    let error = Float64Array.from(logits, (logit, index) => weight * (Math.exp(logit - highest) / total - (index === target ? 1 : 0)));
    for (let at = layers.length - 1; at >= 0; at--) {
      const { matrix } = layers[at] as Layer;
      const gradient = gradients[at] as Layer;
      const below = values[at] as Float64Array;
      const next = new Float64Array(below.length);
      for (let output = 0; output < error.length; output++) {
        const part = error[output] as number;
        if (part === 0) continue;
        gradient.bias[output] = (gradient.bias[output] as number) + part;
        for (let input = 0; input < below.length; input++) {
          const place = output * below.length + input;
          gradient.matrix[place] = (gradient.matrix[place] as number) + part * (below[input] as number);
          next[input] = (next[input] as number) + part * (matrix[place] as number);
        }
      }
      // The rectifier passes nothing back where it let nothing through; the inputs themselves need no gradient.
      error = next.map((part, input) => ((below[input] as number) > 0 ? part : 0));
    }
  }
  return { lossSum, gradientSum };
}

/** `beforeStep` is waited for before each step: a test's way to slow it down. */
export function mlpEngine(beforeStep: (batch: Batch) => Promise<void> = () => Promise.resolve()): VolunteerEngine {
  let loaded: MlpSpec | null = null;
  let weights = new Float32Array(0);
  return withLocalSteps({
    device: { backend: "cpu", description: "plain arithmetic", software: false },
    selfTest: async () => ({ passed: true, relativeError: 0, detail: "" }),
    async load(model) {
      if (model.kind !== "mlp") throw new Error(`only an mlp is computed here, not ${model.kind}`);
      loaded = model;
    },
    async setWeights(flat) {
      weights = flat.slice();
    },
    async step(batch) {
      await beforeStep(batch);
      if (loaded === null) throw new Error("no model is loaded");
      return mlpStep(loaded, weights, batch);
    },
    dispose() {},
  });
}
