// Convolution with ReLU, 2x2 max-pooling, and the way from images to rows. Images are NHWC inside, as TensorFlow.js likes them; weights
// are OIHW and samples and flattened features NCHW, as PyTorch has them.
import * as tf from "@tensorflow/tfjs-core";
import { differentiable } from "./differentiable.ts";

/** relu(conv(x) + b), stride 1, "same" padding of an odd kernel. x [n, h, w, in], weight [out, in, k, k]. */
export function convolutionRelu(x: tf.Tensor4D, weight: tf.Tensor4D, bias: tf.Tensor1D, inputIsData: boolean): tf.Tensor4D {
  return differentiable([...(inputIsData ? [] : [x]), weight, bias], () => {
    const filter = tf.transpose(weight, [2, 3, 1, 0]);
    const y = tf.relu(tf.add(tf.conv2d(x, filter, 1, "same"), bias));
    return {
      value: y,
      kept: [x, y, filter],
      backward: (dy, kept) => {
        const [input, value, hwio] = kept as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
        const dz = tf.mul(dy, tf.step(value)) as tf.Tensor4D;
        const dFilter = tf
          .engine()
          .runKernel(
            "Conv2DBackpropFilter",
            { x: input, dy: dz },
            { strides: [1, 1], pad: "same", dataFormat: "NHWC", filterShape: hwio.shape },
          ) as tf.Tensor4D;
        const dx = inputIsData ? [] : [tf.conv2dTranspose(dz, hwio, x.shape, 1, "same")];
        return [...dx, tf.transpose(dFilter, [3, 2, 0, 1]), tf.sum(dz, [0, 1, 2])];
      },
    };
  }) as tf.Tensor4D;
}

/** The largest of each 2x2 square; an odd last row or column is left out, as PyTorch does. */
export function maxPool2(x: tf.Tensor4D): tf.Tensor4D {
  const window = { filterSize: [2, 2], strides: [2, 2], pad: "valid" };
  return differentiable([x], () => {
    const value = tf.maxPool(x, 2, 2, "valid");
    return {
      value,
      kept: [x, value],
      backward: (dy, kept) => {
        const [input, output] = kept as [tf.Tensor4D, tf.Tensor4D];
        return [tf.engine().runKernel("MaxPoolGrad", { dy, input, output }, window) as tf.Tensor];
      },
    };
  }) as tf.Tensor4D;
}

/** [n, h, w, c] to [n, c*h*w]. */
export function flattenNchw(x: tf.Tensor4D): tf.Tensor2D {
  const [n, h, w, c] = x.shape;
  return differentiable([x], () => ({
    value: tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [n, c * h * w]),
    kept: [],
    backward: (dy) => [tf.transpose(tf.reshape(dy, [n, c, h, w]), [0, 2, 3, 1])],
  })) as tf.Tensor2D;
}

/** Rows of data in NCHW order to images in NHWC; data has no gradient. */
export function imagesOf(rows: tf.Tensor2D, channels: number, height: number, width: number): tf.Tensor4D {
  const n = rows.shape[0];
  if (channels === 1) return tf.reshape(rows, [n, height, width, 1]);
  return tf.transpose(tf.reshape(rows, [n, channels, height, width]), [0, 2, 3, 1]);
}
