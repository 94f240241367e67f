// What the suites that all backends share ask of a backend.
import type * as tf from "@tensorflow/tfjs-core";

/** A backend with the kernels registered and in use. */
export interface Subject {
  /** Values of f32 tensors, one behind the other. */
  read(tensors: readonly tf.Tensor[]): Promise<Float32Array>;
  /** It holds the factors of products in half precision. Absent: it does not. */
  readonly half?: boolean;
  /** In what dispatches are to be entered; absent: nothing special. */
  run?<T>(launch: () => T): T;
  close(): void;
}
