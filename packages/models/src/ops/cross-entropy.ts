// The loss: weighted sum of the cross-entropy of each row of logits against a class.
import * as tf from "@tensorflow/tfjs-core";
import { differentiable } from "./differentiable.ts";
import { hasFused, runFused } from "./fused.ts";

/** sum over rows of weight * (log sum exp(logits) - logits[target]). logits [samples * predictions, classes], targets int32
 *  [samples * predictions], weights [samples]: a scalar. A sample's weight is shared evenly by its predictions. */
export function crossEntropySum(logits: tf.Tensor2D, targets: tf.Tensor1D, weights: tf.Tensor1D): tf.Scalar {
  const predictions = targets.shape[0] / weights.shape[0];
  if (hasFused("WeftCrossEntropy")) return fusedCrossEntropy(logits, targets, weights, predictions);
  return plainCrossEntropy(logits, targets, predictions === 1 ? weights : shared(weights, predictions));
}

function fusedCrossEntropy(logits: tf.Tensor2D, targets: tf.Tensor1D, weights: tf.Tensor1D, predictions: number): tf.Scalar {
  return differentiable([logits], () => {
    const [value, logSums] = runFused("WeftCrossEntropy", { logits, targets, weights }, { predictions }) as [tf.Scalar, tf.Tensor1D];
    return {
      value,
      kept: [logits, logSums, targets, weights],
      backward: (dy, [l, s, t, w]) =>
        runFused("WeftCrossEntropyGradient", { dy, logits: l, logSums: s, targets: t, weights: w }, { predictions }),
    };
  }) as tf.Scalar;
}

/** [samples] to [samples * predictions]. */
function shared(weights: tf.Tensor1D, predictions: number): tf.Tensor1D {
  const column = tf.reshape(tf.mul(weights, 1 / predictions), [-1, 1]);
  return tf.reshape(tf.tile(column, [1, predictions]), [-1]);
}

function plainCrossEntropy(logits: tf.Tensor2D, targets: tf.Tensor1D, weights: tf.Tensor1D): tf.Scalar {
  const [n, classes] = logits.shape;
  return differentiable([logits], () => {
    const hot = tf.oneHot(targets, classes);
    const shifted = tf.sub(logits, tf.max(logits, 1, true));
    const exps = tf.exp(shifted);
    const total = tf.sum(exps, 1, true);
    const column = tf.reshape(weights, [n, 1]);
    const picked = tf.sum(tf.mul(shifted, hot), 1, true);
    return {
      value: tf.sum(tf.mul(tf.sub(tf.log(total), picked), column)),
      kept: [hot, exps, total, column],
      backward: (dy, kept) => {
        const [h, e, s, w] = kept as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
        return [tf.mul(tf.sub(tf.div(e, s), h), tf.mul(w, dy))];
      },
    };
  }) as tf.Scalar;
}
