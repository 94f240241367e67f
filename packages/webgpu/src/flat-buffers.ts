// Between flat f32 vectors and tensors on the device: one buffer and one write on the way in, one staging buffer and one awaited map on
// the way out. Knows no model.

import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import type { ParameterLayout } from "@weft/tensors";
import { type Source, sourceOf, storageBuffer, tensorOn } from "./buffer-tensors.ts";
import { mapped } from "./mapped.ts";
import { flush, type Tape } from "./tape.ts";

/** Where a binding may begin: 256 bytes, in values. */
const ALIGNMENT = 64;

/** Parameters that live side by side in one buffer of ours: new weights are one write in place, nothing is allocated by a step, and an
 *  optimiser passes over all of them at once. */
export class DeviceParameters {
  readonly tensors: readonly tf.Tensor[];
  /** The whole buffer, gaps included, which hold zeros. */
  readonly flat: tf.Tensor1D;
  /** First value of each parameter in it. */
  readonly offsets: readonly number[];
  readonly #buffer: GPUBuffer;
  readonly #backend: WebGPUBackend;
  readonly #layout: ParameterLayout;
  readonly #aligned: Float32Array<ArrayBuffer>;

  constructor(backend: WebGPUBackend, layout: ParameterLayout) {
    this.#backend = backend;
    this.#layout = layout;
    let size = 0;
    this.offsets = layout.parameters.map((parameter) => {
      const offset = size;
      size += Math.ceil(parameter.size / ALIGNMENT) * ALIGNMENT;
      return offset;
    });
    this.#aligned = new Float32Array(size);
    this.#buffer = storageBuffer(backend.device, 4 * size, "parameters");
    this.flat = tf.keep(tensorOn(backend, this.#buffer, [size], "float32")) as tf.Tensor1D;
    this.tensors = layout.parameters.map(({ shape }, index) =>
      tf.keep(tensorOn(backend, this.#buffer, shape, "float32", 4 * (this.offsets[index] as number))),
    );
  }

  write(values: Float32Array): void {
    for (const [index, { offset, size }] of this.#layout.parameters.entries())
      this.#aligned.set(values.subarray(offset, offset + size), this.offsets[index]);
    this.#backend.device.queue.writeBuffer(this.#buffer, 0, this.#aligned);
  }

  /** As results of a step: what `FlatReadBack` reads. */
  get sources(): readonly Source[] {
    return this.tensors.map((tensor) => sourceOf(this.#backend, tensor));
  }

  dispose(): void {
    tf.dispose([...this.tensors, this.flat]);
    this.#buffer.destroy();
  }
}

/** Tensors whose values are written in place: what changes from step to step. */
export class DeviceInputs<Name extends string> {
  readonly tensors: Readonly<Record<Name, tf.Tensor>>;
  readonly #buffers: ReadonlyMap<Name, GPUBuffer>;
  readonly #device: GPUDevice;

  constructor(
    backend: WebGPUBackend,
    shapes: Readonly<Record<Name, { readonly shape: readonly number[]; readonly dtype: "float32" | "int32" }>>,
  ) {
    this.#device = backend.device;
    const names = Object.keys(shapes) as Name[];
    this.#buffers = new Map(
      names.map((name) => [name, storageBuffer(this.#device, 4 * tf.util.sizeFromShape([...shapes[name].shape]), name)]),
    );
    this.tensors = Object.fromEntries(
      names.map((name) => {
        const buffer = this.#buffers.get(name) as GPUBuffer;
        return [name, tf.keep(tensorOn(backend, buffer, shapes[name].shape, shapes[name].dtype))];
      }),
    ) as Record<Name, tf.Tensor>;
  }

  /** Throws for another number of values than the shape has. */
  write(values: Readonly<Record<Name, Float32Array | Int32Array>>): void {
    for (const [name, buffer] of this.#buffers) {
      if (values[name].byteLength !== buffer.size)
        throw new Error(`${values[name].length} values for ${name}, which holds ${buffer.size / 4}`);
      this.#device.queue.writeBuffer(buffer, 0, values[name] as Float32Array<ArrayBuffer>);
    }
  }

  dispose(): void {
    tf.dispose(Object.values<tf.Tensor>(this.tensors));
    for (const buffer of this.#buffers.values()) buffer.destroy();
  }
}

/** Reads f32 tensors back one behind the other. One map a read; reads do not overlap. */
export class FlatReadBack {
  readonly #backend: WebGPUBackend;
  #staging: GPUBuffer | null = null;
  #values = new Float32Array(0);

  constructor(backend: WebGPUBackend) {
    this.#backend = backend;
  }

  /** The tensors' values in order. Rejects when the device is lost meanwhile. */
  async read(tensors: readonly tf.Tensor[]): Promise<Float32Array<ArrayBuffer>> {
    return (await this.readSources(tensors.map((tensor) => sourceOf(this.#backend, tensor)))).slice();
  }

  /** The values of buffers in order, valid until the next read: the same memory again, since new memory takes longer to be had than to be
   *  filled. */
  async readSources(sources: readonly Source[]): Promise<Float32Array<ArrayBuffer>> {
    const { device, queue } = this.#backend;
    const copies = this.#copiesOf(sources);
    flush(this.#backend);
    const encoder = device.createCommandEncoder();
    copies.encode(encoder);
    queue.submit([encoder.finish()]);
    return copies.values();
  }

  /** Computes a tape's outputs anew and reads them, without a submit more for the reading; valid until the next read. */
  async replay(tape: Tape): Promise<Float32Array<ArrayBuffer>> {
    const copies = this.#copiesOf(tape.outputs);
    tape.replay(copies.encode);
    return copies.values();
  }

  #copiesOf(sources: readonly Source[]) {
    const total = sources.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const staging = this.#stagingOf(total);
    return {
      encode: (encoder: GPUCommandEncoder): void => {
        let offset = 0;
        for (const { buffer, offsetBytes, sizeBytes } of sources) {
          encoder.copyBufferToBuffer(buffer, offsetBytes, staging, offset, sizeBytes);
          offset += sizeBytes;
        }
      },
      /** After the submit of the copies. */
      values: async (): Promise<Float32Array<ArrayBuffer>> => {
        await mapped(this.#backend.device.queue, staging, total);
        if (4 * this.#values.length < total) this.#values = new Float32Array(total / 4);
        const values = this.#values.subarray(0, total / 4);
        values.set(new Float32Array(staging.getMappedRange(0, total)));
        staging.unmap();
        return values;
      },
    };
  }

  dispose(): void {
    this.#staging?.destroy();
    this.#staging = null;
    this.#values = new Float32Array(0);
  }

  #stagingOf(sizeBytes: number): GPUBuffer {
    if (this.#staging === null || this.#staging.size < sizeBytes) {
      this.#staging?.destroy();
      this.#staging = this.#backend.device.createBuffer({ size: sizeBytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    }
    return this.#staging;
  }
}
