// GELU.
import * as tf from "@tensorflow/tfjs-core";
import { differentiable } from "./differentiable.ts";
import { hasFused, runFused } from "./fused.ts";

/** x * Phi(x), by erf or by GPT-2's tanh approximation (Hendrycks and Gimpel, 1606.08415). */
export function gelu(x: tf.Tensor2D, kind: "exact" | "tanh"): tf.Tensor2D {
  if (!hasFused("WeftGelu")) return plainGelu(x, kind);
  return differentiable([x], () => ({
    value: (runFused("WeftGelu", { x }, { kind }) as [tf.Tensor2D])[0],
    kept: [x],
    backward: (dy, [input]) => runFused("WeftGeluGradient", { dy, x: input }, { kind }),
  })) as tf.Tensor2D;
}

function plainGelu(x: tf.Tensor2D, kind: "exact" | "tanh"): tf.Tensor2D {
  return differentiable([x], () => {
    if (kind === "exact") {
      const phi = tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);
      return {
        value: tf.mul(x, phi),
        kept: [x, phi],
        backward: (dy, kept) => {
          const [input, p] = kept as [tf.Tensor2D, tf.Tensor2D];
          const density = tf.mul(tf.exp(tf.mul(tf.square(input), -0.5)), 1 / Math.sqrt(2 * Math.PI));
          return [tf.mul(dy, tf.add(p, tf.mul(input, density)))];
        },
      };
    }
    const root = Math.sqrt(2 / Math.PI);
    const square = tf.square(x);
    const t = tf.tanh(tf.mul(tf.mul(x, root), tf.add(tf.mul(square, 0.044715), 1)));
    const phi = tf.mul(tf.add(t, 1), 0.5);
    return {
      value: tf.mul(x, phi),
      kept: [x, t, phi, square],
      backward: (dy, kept) => {
        const [input, tanh, p, x2] = kept as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
        const inner = tf.mul(tf.add(tf.mul(x2, 3 * 0.044715), 1), root / 2);
        const slope = tf.mul(tf.mul(input, tf.sub(1, tf.square(tanh))), inner);
        return [tf.mul(dy, tf.add(p, slope))];
      },
    };
  }) as tf.Tensor2D;
}
