// Scores an mlp in plain arithmetic: what dense layers take is less than TensorFlow.js's own memory, which would be most of a coordinator's.
// Layers are y = W x + b with W [out, in] and a rectifier between them, as in packages/models. Knows no thread and no storage.
import type { Engine } from "@weft/engine";
import { layoutFor, scoreLogits } from "@weft/models";
import type { ModelSpec } from "@weft/protocol";
import { viewOf } from "@weft/tensors";

type MlpSpec = Extract<ModelSpec, { kind: "mlp" }>;

/** `weights`: flat, in canonical order. */
export function mlpEvaluator(model: MlpSpec, weights: Float32Array): Pick<Engine, "evaluate"> {
  const views = layoutFor(model).parameters.map((parameter) => viewOf(weights, parameter));
  return {
    async evaluate(batch) {
      let values = Float32Array.from(batch.inputs);
      for (let at = 0; at < views.length; at += 2) {
        const isLast = at + 2 >= views.length;
        values = dense(values, batch.rows, views[at] as Float32Array, views[at + 1] as Float32Array, !isLast);
      }
      return scoreLogits(model, values, batch);
    },
  };
}

/** `inputs` [rows, in], `matrix` [out, in], `bias` [out]; gives [rows, out]. */
function dense(
  inputs: Float32Array,
  rows: number,
  matrix: Float32Array,
  bias: Float32Array,
  rectified: boolean,
): Float32Array<ArrayBuffer> {
  const outputs = bias.length;
  const width = matrix.length / outputs;
  const result = new Float32Array(rows * outputs);
  for (let row = 0; row < rows; row++)
    for (let output = 0; output < outputs; output++) {
      let sum = bias[output] as number;
      for (let at = 0; at < width; at++) sum += (matrix[output * width + at] as number) * (inputs[row * width + at] as number);
      result[row * outputs + output] = rectified && sum < 0 ? 0 : sum;
    }
  return result;
}
