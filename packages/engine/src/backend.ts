// One backend of TensorFlow.js as the engine uses it: where parameters live, how tensors are read back flat. Knows no model.
import * as tf from "@tensorflow/tfjs-core";
import type { ModelTensors } from "@weft/models/tf";
import type { DeviceInfo, ModelSpec, Precision } from "@weft/protocol";
import type { Batch, CodecStream, Encoded, OptimizerKind, ParameterLayout, ResidualNow } from "@weft/tensors";

export interface Parameters {
  /** In the layout's order. */
  readonly tensors: readonly tf.Tensor[];
  write(flat: Float32Array): void;
  dispose(): void;
}

export interface TrainerOptions {
  readonly layout: ParameterLayout;
  readonly optimizer: OptimizerKind;
  /** Infinity: gradients are not clipped. */
  readonly clipNorm: number;
}

/** Training steps on parameters where they lie. Calls are made one after another. */
export interface Trainer {
  /**
   * One step with the mean gradient over the `samples` samples of `batches`, each of the program's size. Resolves when the device has taken
   * it; reads nothing back.
   */
  step(batches: readonly Batch[], samples: number, learningRate: number): Promise<void>;
  /** The parameters as they are now, and the sum of all losses since the last call. One read-back. */
  read(): Promise<{ readonly weights: Float32Array; readonly lossSum: number }>;
  /** Forgets the optimiser's state, and losses that nobody read. */
  reset(): void;
  dispose(): void;
}

export interface Encoding {
  readonly stream: CodecStream;
  /** Asked by codecs with error feedback. */
  readonly residual: ResidualNow;
}
/** Null where the residual was not given: the work is given up. */
export interface Packed {
  readonly encoded: Encoded;
  readonly lossSum: number;
  /** As in a LeaseResult. */
  readonly rest?: Promise<Float32Array | null>;
}

/** A lease's update from where it is computed to packed bytes. Calls are made one after another. */
export interface Packer {
  /** Forgets what was added and never read. */
  clear(): void;
  /** Adds the gradients of batches of the program's size. Resolves when the device has taken them; reads nothing back. */
  add(batches: readonly Batch[]): Promise<void>;
  /** The mean gradient over the `samples` samples that were added, and the sum of their losses. One read-back, of packed bytes. */
  mean(samples: number, encoding: Encoding): Promise<Packed | null>;
  /** The parameters as they are now are those before the steps. */
  begin(): void;
  /** Those before the steps minus those of now, and the sum of the losses of `trainer`'s steps. One read-back, of packed bytes. */
  change(trainer: Trainer, encoding: Encoding): Promise<Packed | null>;
  dispose(): void;
}

export interface Encoders {
  readonly codecs: readonly string[];
  /**
   * Null where the device encodes otherwise than the codec, or has no room for it: then it is done on the CPU. `parameters` and `program` are
   * of this backend, as for a trainer.
   */
  packer(codec: string, parameters: Parameters, program: Program, layout: ParameterLayout): Promise<Packer | null>;
}

/** A computation of fixed shapes. Calls are made one after another, with the backend in use. */
export interface Program {
  /** Compiles what it needs, where there is anything to compile. */
  prepare(): Promise<void>;
  /** Its results' values, one behind the other. */
  run(batch: Batch): Promise<Float32Array>;
  dispose(): void;
}

export interface Backend {
  readonly info: DeviceInfo;
  readonly lost: Promise<string>;
  /** Makes this the backend of the tensors made next, until something awaits. */
  use(): void;
  parameters(layout: ParameterLayout): Parameters;
  /** Values of f32 tensors, one behind the other. */
  read(tensors: readonly tf.Tensor[]): Promise<Float32Array>;
  /** A computation on batches of the sizes of `example`, whose results are f32 tensors of its own making. `f16` only where `half` is usable. */
  program(example: Batch, run: (batch: ModelTensors) => readonly tf.Tensor[], precision: Precision): Program;
  /** Steps on `parameters` by what `program` gives, both made by this backend: the gradients in the layout's order, then the loss. */
  trainer(parameters: Parameters, program: Program, options: TrainerOptions): Promise<Trainer>;
  /** Encodes updates where they are computed; absent: they are read as f32. */
  readonly encoders?: Encoders;
  /** Kernels of our own that slower ones can stand in for. */
  readonly optional: OptionalKernels;
  /** Products of factors in half precision; absent: this backend has none. */
  readonly half?: HalfPrecision;
  /** How many rows of a model's batches fit at once, where that was found out; absent: memory is no matter here. */
  readonly capacity?: Capacity;
  dispose(): void;
}

export interface OptionalKernels {
  readonly names: readonly string[];
  /** Struck on this device at an earlier visit, and now. */
  readonly remembered: readonly string[];
  strike(name: string): void;
  restore(name: string): void;
  /** For the next visits. */
  remember(struck: readonly string[]): Promise<void>;
}
export const NO_OPTIONAL_KERNELS: OptionalKernels = {
  names: [],
  remembered: [],
  strike: () => undefined,
  restore: () => undefined,
  remember: () => Promise.resolve(),
};

export interface HalfPrecision {
  /** Among the optional kernels. */
  readonly name: string;
  /** The device has it, and it is not struck. */
  readonly usable: boolean;
}

export interface Capacity {
  /** Null: as many as wanted, as far as is known. */
  rows(model: ModelSpec): Promise<number | null>;
  remember(model: ModelSpec, rows: number): Promise<void>;
}

/** The device's memory does not hold what a program of this size needs. */
export class DeviceMemoryError extends Error {
  override readonly name = "DeviceMemoryError";
}

/** The processor does not go away. */
export const NEVER_LOST = new Promise<string>(() => undefined);

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

/** Batches become tensors and results arrays, at each run anew. */
export class HostProgram implements Program {
  readonly #compute: (batch: ModelTensors) => readonly tf.Tensor[];

  constructor(compute: (batch: ModelTensors) => readonly tf.Tensor[]) {
    this.#compute = compute;
  }
  async prepare(): Promise<void> {}
  async run({ inputs, rows, targets, weights }: Batch): Promise<Float32Array> {
    const results = tf.tidy(() => [
      ...this.#compute({
        inputs: tf.tensor2d(inputs, [rows, inputs.length / rows], inputs instanceof Int32Array ? "int32" : "float32"),
        targets: tf.tensor1d(targets, "int32"),
        weights: tf.tensor1d(weights, "float32"),
      }),
    ]);
    const values = readHost(results);
    tf.dispose(results);
    return values;
  }
  dispose(): void {}
}
