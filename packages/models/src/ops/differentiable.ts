// How an operation of the models is made: a forward and a backward pass, each in plain TensorFlow.js kernels. With both passes our own,
// no gradient of TensorFlow.js is needed: its Node bundle registers none, some are missing, and fused kernels can take an operation's place.
import * as tf from "@tensorflow/tfjs-core";

export interface Passes {
  readonly value: tf.Tensor;
  /** Every tensor that the backward pass uses, parameters and data of the caller excepted: all others end with the forward pass. */
  readonly kept: readonly tf.Tensor[];
  /** Gradients of the inputs, in order, from that of the value. Each must be a tensor of its own: the tape disposes of them one by one. */
  readonly backward: (dy: tf.Tensor, kept: readonly tf.Tensor[]) => tf.Tensor[];
}

/** Applies an operation whose gradient flows to `inputs`; other tensors that `forward` captures are constants. */
export function differentiable(inputs: readonly tf.Tensor[], forward: () => Passes): tf.Tensor {
  const operation = tf.customGrad((...args: (tf.Tensor | tf.GradSaveFunc)[]) => {
    const save = args[inputs.length] as tf.GradSaveFunc;
    const { value, kept, backward } = forward();
    save([...kept]);
    return { value, gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => backward(dy, saved) };
  });
  return operation(...inputs);
}

/** A second handle on the same data: reshaping moves nothing on any backend. */
export const sameAs = (x: tf.Tensor): tf.Tensor => tf.reshape(x, x.shape);

/** Sum of equal shapes: a residual connection. */
export const add = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
  differentiable([a, b], () => ({ value: tf.add(a, b), kept: [], backward: (dy) => [sameAs(dy), sameAs(dy)] }));
