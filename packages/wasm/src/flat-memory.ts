// Parameters and inputs in memory of ours: written in place, so that nothing is allocated by a step and a tape finds them where they were.
import * as tf from "@tensorflow/tfjs-core";
import type { ParameterLayout } from "@weft/tensors";
import type { ElementType, WasmBackend } from "./backend.ts";

/** All parameters one behind the other, a tensor on each. */
export class FlatParameters {
  readonly tensors: readonly tf.Tensor[];
  readonly #backend: WasmBackend;
  readonly #at: number;
  readonly #size: number;

  constructor(backend: WasmBackend, { parameters, size }: ParameterLayout) {
    this.#backend = backend;
    this.#size = size;
    this.#at = backend.allocate(4 * size);
    this.tensors = parameters.map(({ offset, shape }) => tf.keep(backend.wrap(this.#at + 4 * offset, shape, "float32")));
  }

  /** Address of the first value; they lie without gaps. */
  get at(): number {
    return this.#at;
  }

  write(flat: Float32Array): void {
    this.#backend.instance.f32(this.#at, this.#size).set(flat);
  }

  read(): Float32Array<ArrayBuffer> {
    return this.#backend.instance.f32(this.#at, this.#size).slice();
  }

  dispose(): void {
    tf.dispose([...this.tensors]);
    this.#backend.release(this.#at);
  }
}

/** Tensors whose values change from step to step. */
export class FixedInputs<Name extends string> {
  readonly tensors: Readonly<Record<Name, tf.Tensor>>;
  readonly #backend: WasmBackend;
  readonly #places: ReadonlyMap<Name, { readonly at: number; readonly size: number; readonly dtype: ElementType }>;

  constructor(backend: WasmBackend, shapes: Readonly<Record<Name, { readonly shape: readonly number[]; readonly dtype: ElementType }>>) {
    this.#backend = backend;
    const names = Object.keys(shapes) as Name[];
    this.#places = new Map(
      names.map((name) => {
        const size = tf.util.sizeFromShape([...shapes[name].shape]);
        return [name, { at: backend.allocate(4 * size), size, dtype: shapes[name].dtype }];
      }),
    );
    this.tensors = Object.fromEntries(
      [...this.#places].map(([name, { at, dtype }]) => [name, tf.keep(backend.wrap(at, shapes[name].shape, dtype))]),
    ) as Record<Name, tf.Tensor>;
  }

  /** Throws for another number of values than the shape has. */
  write(values: Readonly<Record<Name, Float32Array | Int32Array>>): void {
    for (const [name, { at, size, dtype }] of this.#places) {
      if (values[name].length !== size) throw new Error(`${values[name].length} values for ${name}, which holds ${size}`);
      const view = dtype === "int32" ? this.#backend.instance.i32(at, size) : this.#backend.instance.f32(at, size);
      view.set(values[name]);
    }
  }

  dispose(): void {
    tf.dispose(Object.values<tf.Tensor>(this.tensors));
    for (const { at } of this.#places.values()) this.#backend.release(at);
  }
}
