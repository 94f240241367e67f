// The block of a convolutional network: convolution, ReLU and 2x2 max-pooling at once, so that a fused kernel need never write what the
// pooling drops, nor compute its gradient, which is 0. Images are NCHW and weights OIHW, as PyTorch has them.
import * as tf from "@tensorflow/tfjs-core";
import { differentiable } from "./differentiable.ts";
import { hasFused, runFused } from "./fused.ts";

/**
 * The largest of each 2x2 square of relu(conv(x) + b): stride 1, "same" padding of an odd kernel; an odd last row or column is left out.
 * x [n, in, h, w], weight [out, in, k, k], bias [out]: [n, out, floor(h / 2), floor(w / 2)]. Of equals in a square the first in reading
 * order is the largest, and where that is not above 0 no gradient flows: PyTorch's rules.
 *
 * Its fused operation is `WeftConvolutionBlock`, all tensors f32:
 * - forward `{ x, weight, bias }` to `[y, chosen]`, of equal shape: `chosen` is the place of the largest in its square in reading order,
 *   0 to 3, or -1 where ReLU gives 0;
 * - `WeftConvolutionBlockGradient` `{ dy, x, weight, chosen }`, with the attribute `inputIsData`, to `[dx, dWeight, dBias]`, without dx
 *   where `inputIsData`.
 */
export function convolutionBlock(x: tf.Tensor4D, weight: tf.Tensor4D, bias: tf.Tensor1D, inputIsData: boolean): tf.Tensor4D {
  const block = hasFused("WeftConvolutionBlock") ? fusedBlock : plainBlock;
  return differentiable([...(inputIsData ? [] : [x]), weight, bias], () => block(x, weight, bias, inputIsData)) as tf.Tensor4D;
}

function fusedBlock(x: tf.Tensor4D, weight: tf.Tensor4D, bias: tf.Tensor1D, inputIsData: boolean) {
  const [value, chosen] = runFused("WeftConvolutionBlock", { x, weight, bias }, {}) as [tf.Tensor4D, tf.Tensor4D];
  return {
    value,
    kept: [x, chosen],
    backward: (dy: tf.Tensor, [input, c]: readonly tf.Tensor[]) =>
      runFused("WeftConvolutionBlockGradient", { dy, x: input, weight, chosen: c }, { inputIsData }),
  };
}

/** By TensorFlow.js's kernels, which like NHWC images and HWIO weights. */
function plainBlock(x: tf.Tensor4D, weight: tf.Tensor4D, bias: tf.Tensor1D, inputIsData: boolean) {
  const images = tf.transpose(x, [0, 2, 3, 1]);
  const filter = tf.transpose(weight, [2, 3, 1, 0]);
  const y = tf.relu(tf.add(tf.conv2d(images, filter, 1, "same"), bias));
  const pooled = tf.maxPool(y as tf.Tensor4D, 2, 2, "valid");
  return {
    value: tf.transpose(pooled, [0, 3, 1, 2]),
    kept: [images, filter, y, pooled],
    backward: (dy: tf.Tensor, kept: readonly tf.Tensor[]) => {
      const [input, hwio, value, output] = kept as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
      const run = (kernel: string, inputs: tf.NamedTensorMap, attributes: tf.NamedAttrMap): tf.Tensor4D =>
        tf.engine().runKernel(kernel, inputs, attributes) as tf.Tensor4D;
      const window = { filterSize: [2, 2], strides: [2, 2], pad: "valid" };
      const dOutput = tf.transpose(dy, [0, 2, 3, 1]);
      const dz = tf.mul(run("MaxPoolGrad", { dy: dOutput, input: value, output }, window), tf.step(value)) as tf.Tensor4D;
      const same = { strides: [1, 1], pad: "same", dataFormat: "NHWC", filterShape: hwio.shape };
      const dFilter = run("Conv2DBackpropFilter", { x: input, dy: dz }, same);
      const dx = inputIsData ? [] : [tf.transpose(tf.conv2dTranspose(dz, hwio, input.shape, 1, "same"), [0, 3, 1, 2])];
      return [...dx, tf.transpose(dFilter, [3, 2, 0, 1]), tf.sum(dz, [0, 1, 2])];
    },
  };
}

/** [n, c, h, w] to [n, c * h * w]. */
export function flatten(x: tf.Tensor4D): tf.Tensor2D {
  return differentiable([x], () => ({
    value: tf.reshape(x, [x.shape[0], -1]),
    kept: [],
    backward: (dy) => [tf.reshape(dy, x.shape)],
  })) as tf.Tensor2D;
}
