// The loss: weighted sum of the cross-entropy of each row of logits against a class.
import * as tf from "@tensorflow/tfjs-core";
import { differentiable } from "./differentiable.ts";

/** sum over rows of weight * (log sum exp(logits) - logits[target]). logits [n, classes], targets int32 [n], weights [n]: a scalar. */
export function crossEntropySum(logits: tf.Tensor2D, targets: tf.Tensor1D, weights: tf.Tensor1D): tf.Scalar {
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
