// Layer norm.
import * as tf from "@tensorflow/tfjs-core";
import { differentiable } from "./differentiable.ts";
import { hasFused, runFused } from "./fused.ts";

const EPSILON = 1e-5;

/** Over the last axis of [n, width], epsilon 1e-5 (Ba et al., 1607.06450). */
export function layerNorm(x: tf.Tensor2D, gain: tf.Tensor1D, bias: tf.Tensor1D | undefined): tf.Tensor2D {
  return hasFused("WeftLayerNorm") ? fusedLayerNorm(x, gain, bias) : plainLayerNorm(x, gain, bias);
}

function fusedLayerNorm(x: tf.Tensor2D, gain: tf.Tensor1D, bias: tf.Tensor1D | undefined): tf.Tensor2D {
  const hasBias = bias !== undefined;
  return differentiable([x, gain, ...(hasBias ? [bias] : [])], () => {
    const [value, statistics] = runFused("WeftLayerNorm", { x, gain, bias }, { epsilon: EPSILON }) as [tf.Tensor2D, tf.Tensor2D];
    return {
      value,
      kept: [x, statistics],
      backward: (dy, [input, s]) => runFused("WeftLayerNormGradient", { dy, x: input, gain, statistics: s }, { hasBias }),
    };
  }) as tf.Tensor2D;
}

function plainLayerNorm(x: tf.Tensor2D, gain: tf.Tensor1D, bias: tf.Tensor1D | undefined): tf.Tensor2D {
  return differentiable([x, gain, ...(bias === undefined ? [] : [bias])], () => {
    const centred = tf.sub(x, tf.mean(x, 1, true));
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), 1, true), EPSILON));
    const unit = tf.mul(centred, inverse);
    const scaled = tf.mul(unit, gain);
    return {
      value: bias === undefined ? scaled : tf.add(scaled, bias),
      kept: [unit, inverse],
      backward: (dy, kept) => {
        const [u, r] = kept as [tf.Tensor2D, tf.Tensor2D];
        const du = tf.mul(dy, gain);
        // dx = r * (du - mean(du) - u * mean(du * u)): the directions that centring and scaling take out.
        const along = tf.mul(u, tf.mean(tf.mul(du, u), 1, true));
        const dx = tf.mul(r, tf.sub(tf.sub(du, tf.mean(du, 1, true)), along));
        return [dx, tf.sum(tf.mul(dy, u), 0), ...(bias === undefined ? [] : [tf.sum(dy, 0)])];
      },
    };
  }) as tf.Tensor2D;
}
