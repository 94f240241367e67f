// Dense layers on the tape: y = x W (+ b), then an activation where asked, with the weight in PyTorch's or in GPT-2's layout.
import * as tf from "@tensorflow/tfjs-core";
import { differentiable } from "./differentiable.ts";
import { hasFused, runFused } from "./fused.ts";
import { gelu } from "./gelu.ts";

export interface LinearOptions {
  /** `out-in`: PyTorch's Linear. `in-out`: the Conv1D of GPT-2. */
  readonly layout: "out-in" | "in-out";
  readonly bias?: tf.Tensor;
  readonly activation?: "relu" | "gelu-exact" | "gelu-tanh";
  /** `x` is data, not a result: its gradient is not computed. */
  readonly inputIsData?: boolean;
}

/** [rows, inputs] times the weight: [rows, outputs]. */
export function linear(x: tf.Tensor2D, weight: tf.Tensor2D, options: LinearOptions): tf.Tensor2D {
  if (hasFused("WeftLinear")) return fusedLinear(x, weight, options);
  const { activation, ...rest } = options;
  if (activation === "gelu-exact" || activation === "gelu-tanh")
    return gelu(plainLinear(x, weight, rest), activation === "gelu-exact" ? "exact" : "tanh");
  return plainLinear(x, weight, { ...rest, ...(activation === undefined ? {} : { activation }) });
}

const differentiated = (x: tf.Tensor2D, weight: tf.Tensor2D, { inputIsData = false, bias }: LinearOptions): tf.Tensor[] => [
  ...(inputIsData ? [] : [x]),
  weight,
  ...(bias === undefined ? [] : [bias]),
];

/** A backend may keep `x` and the weight in a form of its own (in half precision): then it answers with both behind its results, and wants
 *  them, with the number of inputs, in the backward pass. */
function fusedLinear(x: tf.Tensor2D, weight: tf.Tensor2D, options: LinearOptions): tf.Tensor2D {
  const { layout, bias, activation = "none", inputIsData = false } = options;
  const attributes = { outIn: layout === "out-in", activation };
  return differentiable(differentiated(x, weight, options), () => {
    const results = runFused("WeftLinear", { x, weight, bias }, attributes);
    const value = results[0] as tf.Tensor2D;
    const own = activation === "none" || activation === "relu" ? 1 : 2;
    const packed = results.slice(own);
    const seen = activation === "none" ? [] : [results[own - 1] as tf.Tensor];
    const packedInputs = packed.length === 0 ? 0 : x.shape[1];
    return {
      value,
      kept: packed.length === 0 ? [x, ...seen] : [...packed, ...seen],
      backward: (dy, kept) => {
        const [input, factor, s] = packedInputs === 0 ? [kept[0], weight, kept[1]] : kept;
        const given = { ...attributes, hasBias: bias !== undefined, inputIsData, packedInputs };
        return runFused("WeftLinearGradient", { dy, x: input, weight: factor, seen: s }, given);
      },
    };
  }) as tf.Tensor2D;
}

function plainLinear(x: tf.Tensor2D, weight: tf.Tensor2D, options: LinearOptions & { readonly activation?: "relu" }): tf.Tensor2D {
  const { layout, bias, activation, inputIsData = false } = options;
  const outIn = layout === "out-in";
  return differentiable(differentiated(x, weight, options), () => {
    const value = product(x, weight, outIn, bias, activation);
    return {
      value,
      kept: activation === undefined ? [x] : [x, value],
      backward: (dy, kept) => {
        const [input, y] = kept as [tf.Tensor2D, tf.Tensor2D | undefined];
        const dz = (y === undefined ? dy : tf.mul(dy, tf.step(y))) as tf.Tensor2D;
        const dx = inputIsData ? [] : [tf.matMul(dz, weight, false, !outIn)];
        const dw = outIn ? tf.matMul(dz, input, true, false) : tf.matMul(input, dz, true, false);
        return [...dx, dw, ...(bias === undefined ? [] : [tf.sum(dz, 0)])];
      },
    };
  }) as tf.Tensor2D;
}

/** x W (+ b), through the activation. Not TensorFlow.js's fused kernel: its WASM one answers wrongly for a transposed weight with a bias. */
function product(
  x: tf.Tensor2D,
  weight: tf.Tensor2D,
  transposeB: boolean,
  bias: tf.Tensor | undefined,
  activation: "relu" | undefined,
): tf.Tensor2D {
  const y: tf.Tensor = tf.matMul(x, weight, false, transposeB);
  const sum = bias === undefined ? y : tf.add(y, bias);
  return (activation === "relu" ? tf.relu(sum) : sum) as tf.Tensor2D;
}
