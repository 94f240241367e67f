// Kernels that do a whole operation at once, where the backend in use has them. Knows their names alone: who registers them is another
// matter, and where none is registered the operations are made of TensorFlow.js's own kernels.
import * as tf from "@tensorflow/tfjs-core";

/** Each has a twin for its gradient, `${name}Gradient`: both are there or neither is used. */
export type FusedOperation =
  | "WeftLinear"
  | "WeftLayerNorm"
  | "WeftGelu"
  | "WeftCrossEntropy"
  | "WeftEmbedding"
  | "WeftRows"
  | "WeftAttention"
  | "WeftLstm"
  | "WeftConvolutionBlock";

export function hasFused(name: FusedOperation): boolean {
  const backend = tf.getBackend();
  return tf.getKernel(name, backend) != null && tf.getKernel(`${name}Gradient`, backend) != null;
}

/** Results of the kernel, in its order. Inputs that are undefined are left out. */
export function runFused(
  name: FusedOperation | `${FusedOperation}Gradient`,
  inputs: Readonly<Record<string, tf.Tensor | undefined>>,
  attributes: Readonly<Record<string, number | string | boolean>>,
): tf.Tensor[] {
  const given = Object.fromEntries(Object.entries(inputs).filter(([, tensor]) => tensor !== undefined)) as tf.NamedTensorMap;
  return tf.engine().runKernel(name, given, { ...attributes }) as unknown as tf.Tensor[];
}
