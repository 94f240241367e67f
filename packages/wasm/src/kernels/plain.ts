// The few names of TensorFlow.js's own that training needs beside the models' fused operations: sums of equal shapes, and other shapes for
// the same data.
import * as tf from "@tensorflow/tfjs-core";
import { type Launcher, sizeOf, take } from "./launchers.ts";

/** Of equal shapes: residual connections, and gradients that meet. */
const add: Launcher = (backend, inputs) => {
  const { a, b } = take(inputs, "a", "b");
  if (a.dtype !== "float32" || b.dtype !== "float32" || !tf.util.arraysEqual(a.shape, b.shape))
    throw new Error(`No sum of ${a.dtype} [${a.shape.join(", ")}] and ${b.dtype} [${b.shape.join(", ")}]`);
  const y = backend.output(a.shape);
  backend.call("add", backend.addressOf(a), backend.addressOf(b), backend.addressOf(y), sizeOf(a.shape));
  return y;
};

export const PLAIN: Readonly<Record<string, Launcher>> = {
  Add: add,
  Identity: (backend, inputs) => {
    const { x } = take(inputs, "x");
    return backend.alias(x, x.shape);
  },
  Reshape: (backend, inputs, { shape }) => {
    const { x } = take(inputs, "x");
    return backend.alias(x, tf.util.inferFromImplicitShape(shape as number[], sizeOf(x.shape)));
  },
};
