// What kernels of any kind need: how TensorFlow.js calls them, and their inputs by name.
import type * as tf from "@tensorflow/tfjs-core";
import type { WasmBackend } from "../backend.ts";

export type Inputs = Readonly<Record<string, tf.TensorInfo | undefined>>;
export type Attributes = Readonly<Record<string, unknown>>;
export type Launcher = (backend: WasmBackend, inputs: Inputs, attributes: Attributes) => tf.TensorInfo | tf.TensorInfo[];

/** The named inputs, present by agreement with who calls. */
export function take<K extends string>(inputs: Inputs, ...names: K[]): Record<K, tf.TensorInfo> {
  for (const name of names) if (inputs[name] === undefined) throw new Error(`The kernel was given no ${name}`);
  return inputs as Record<K, tf.TensorInfo>;
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);

/** Rows and columns of a matrix. */
export function matrixOf({ shape }: tf.TensorInfo): [number, number] {
  if (shape.length !== 2) throw new Error(`A matrix was expected, not [${shape.join(", ")}]`);
  return shape as [number, number];
}
