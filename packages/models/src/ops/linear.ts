// Dense layers on the tape: y = x W (+ b), then ReLU where asked, with the weight in PyTorch's or in GPT-2's layout.
import * as tf from "@tensorflow/tfjs-core";
import { differentiable } from "./differentiable.ts";

export interface LinearOptions {
  /** `out-in`: PyTorch's Linear. `in-out`: the Conv1D of GPT-2. */
  readonly layout: "out-in" | "in-out";
  readonly bias?: tf.Tensor;
  readonly activation?: "relu";
  /** `x` is data, not a result: its gradient is not computed. */
  readonly inputIsData?: boolean;
}

/** [rows, inputs] times the weight: [rows, outputs]. */
export function linear(x: tf.Tensor2D, weight: tf.Tensor2D, options: LinearOptions): tf.Tensor2D {
  const { layout, bias, activation, inputIsData = false } = options;
  const outIn = layout === "out-in";
  const inputs = [...(inputIsData ? [] : [x]), weight, ...(bias === undefined ? [] : [bias])];
  return differentiable(inputs, () => {
    const value =
      bias === undefined && activation === undefined
        ? tf.matMul(x, weight, false, outIn)
        : (tf
            .engine()
            .runKernel(
              "_FusedMatMul",
              { a: x, b: weight, ...(bias === undefined ? {} : { bias }) },
              { transposeA: false, transposeB: outIn, activation: activation ?? "linear" },
            ) as tf.Tensor2D);
    return {
      value,
      kept: activation === undefined ? [] : [value],
      backward: (dy, [y]) => {
        const dz = (y === undefined ? dy : tf.mul(dy, tf.step(y))) as tf.Tensor2D;
        const dx = inputIsData ? [] : [tf.matMul(dz, weight, false, !outIn)];
        const dw = outIn ? tf.matMul(dz, x, true, false) : tf.matMul(x, dz, true, false);
        return [...dx, dw, ...(bias === undefined ? [] : [tf.sum(dz, 0)])];
      },
    };
  }) as tf.Tensor2D;
}
