// One backend of TensorFlow.js as the engine uses it: where parameters live, how tensors are read back flat. Knows no model.
import * as tf from "@tensorflow/tfjs-core";
import type { DeviceInfo, ModelSpec } from "@weft/protocol";
import type { ParameterLayout } from "@weft/tensors";

export interface Parameters {
  /** In the layout's order. */
  readonly tensors: readonly tf.Tensor[];
  write(flat: Float32Array): void;
  dispose(): void;
}

export interface Backend {
  readonly info: DeviceInfo;
  readonly lost: Promise<string>;
  /** Whether every operation of the model's backward pass exists here. */
  trains(kind: ModelSpec["kind"]): boolean;
  /** Makes this the backend of the tensors made next, until something awaits. */
  use(): void;
  parameters(layout: ParameterLayout): Parameters;
  /** Values of f32 tensors, one behind the other. */
  read(tensors: readonly tf.Tensor[]): Promise<Float32Array>;
  /** Compiles what `run` needs, where there is anything to compile. */
  prepare(run: () => void): Promise<void>;
  dispose(): void;
}

/** TensorFlow.js has one current backend. For one that is initialised `setBackend` takes effect before it returns its promise. */
export function useBackend(name: string): void {
  if (tf.getBackend() === name) return;
  if (tf.findBackend(name) === null) throw new Error(`The ${name} backend is gone: its engine was disposed of`);
  void tf.setBackend(name);
}

/** Parameters of a backend that computes in this thread: tensors are made anew with each write. */
export class HostParameters implements Parameters {
  readonly #layout: ParameterLayout;
  #tensors: tf.Tensor[] = [];

  constructor(layout: ParameterLayout) {
    this.#layout = layout;
  }
  get tensors(): readonly tf.Tensor[] {
    return this.#tensors;
  }
  write(flat: Float32Array): void {
    this.dispose();
    // Copies: the CPU backend keeps the array it is given.
    this.#tensors = this.#layout.parameters.map(({ offset, size, shape }) =>
      tf.keep(tf.tensor(flat.slice(offset, offset + size), [...shape])),
    );
  }
  dispose(): void {
    tf.dispose(this.#tensors);
    this.#tensors = [];
  }
}

export function readHost(tensors: readonly tf.Tensor[]): Float32Array {
  const flat = new Float32Array(tensors.reduce((sum, tensor) => sum + tensor.size, 0));
  let offset = 0;
  for (const tensor of tensors) {
    flat.set(tensor.dataSync<"float32">(), offset);
    offset += tensor.size;
  }
  return flat;
}
