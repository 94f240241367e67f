// What the engines that bench `step` compares have in common, in the page: a training step of a model (forward, backward, optimiser), run
// one at a time and by turns. Types, and the registry by which the page that measures finds the engines in its frames.
import { heldBytes, install, read } from "./counters.ts";

export interface GptCase {
  readonly kind: "gpt";
  readonly vocabulary: number;
  readonly context: number;
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
}
export interface CnnCase {
  readonly kind: "cnn";
  readonly side: number;
  readonly channels: readonly [number, number];
  readonly kernel: number;
  readonly hidden: number;
  readonly classes: number;
}
export interface LstmCase {
  readonly kind: "lstm";
  readonly vocabulary: number;
  readonly context: number;
  readonly embedding: number;
  readonly layers: number;
  readonly hidden: number;
}
/** A model, the samples of a step and the optimiser: Adam for text, plain gradient descent for images. */
export interface StepCase {
  readonly name: string;
  readonly rows: number;
  readonly model: GptCase | CnnCase | LstmCase;
}

export interface Trainer {
  /** Starts a step; resolves with its loss when that is back. What happens before the promise is given counts as JavaScript. */
  step(): Promise<number>;
  /** Bytes of memory held, where they are not GPU buffers; null: unknown. */
  heldBytes(): number | null;
  dispose(): void;
}
export type EngineName =
  | "stock webgpu"
  | "weft webgpu"
  | "stock wasm"
  | "weft wasm"
  | "weft wasm, 1 thread"
  | "weft wasm, all threads"
  | "stock cpu"
  | "jax-js webgpu"
  | "jax-js wasm";
export interface Contender {
  readonly name: EngineName;
  /** Null: it cannot train this model. */
  trainer(given: StepCase): Promise<Trainer | null>;
}

/** Work that is timed by itself. */
export interface Work {
  /** Outside the time that is taken: makes what is to be worked on, and waits until the device has done all that this engine asked of it. */
  ready(): Promise<void>;
  run(): Promise<void>;
  dispose(): void;
}
/** One matrix product, for the rows of `matmul`. */
export interface MatmulContender {
  readonly name: EngineName;
  /** n x n matrices; `run` resolves when the product is computed. */
  product(n: number, transposeA: boolean, transposeB: boolean): Promise<Work>;
}
/** Reads the same values of many tensors. */
export interface ReadBackContender {
  readonly name: EngineName;
  readBack(tensors: number, size: number): Promise<Work>;
}

export interface Registry {
  readonly steps: Contender[];
  readonly matmuls: MatmulContender[];
  readonly readBacks: ReadBackContender[];
  /** Of this frame's WebGPU alone. */
  readonly counters: { readonly read: typeof read; readonly heldBytes: typeof heldBytes };
}
install();
/** Each engine has a frame of its own: copies of TensorFlow.js in one would share their state and their kernels. */
export const registry: Registry = { steps: [], matmuls: [], readBacks: [], counters: { read, heldBytes } };
Object.assign(globalThis, { weftStep: registry });

/** Reproducible numbers in [0, 1): every engine is given the same batch. */
export function draws(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 8) / 2 ** 24;
  };
}

export interface BatchValues {
  readonly inputs: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;
  readonly targets: Int32Array<ArrayBuffer>;
}
export function batchOf({ rows, model }: StepCase): BatchValues {
  const draw = draws(11);
  if (model.kind === "cnn")
    return {
      inputs: Float32Array.from({ length: rows * model.side ** 2 }, draw),
      targets: Int32Array.from({ length: rows }, () => Math.floor(draw() * model.classes)),
    };
  const length = rows * model.context;
  const tokens = (): Int32Array<ArrayBuffer> => Int32Array.from({ length }, () => Math.floor(draw() * model.vocabulary));
  return { inputs: tokens(), targets: tokens() };
}
