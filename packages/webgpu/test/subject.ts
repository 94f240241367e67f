// What the suites that all backends share ask of a backend.
import type * as tf from "@tensorflow/tfjs-core";

/** A backend with the kernels registered and in use. */
export interface Subject {
  /** Values of f32 tensors, one behind the other. */
  read(tensors: readonly tf.Tensor[]): Promise<Float32Array>;
  close(): void;
}
