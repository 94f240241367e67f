// Between flat f32 vectors and tensors on the device: one buffer a parameter on the way in, one staging buffer and one awaited map on
// the way out. Knows no model.

import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import type { ParameterLayout } from "@weft/tensors";
import { flush, type Source } from "./tape.ts";

/** Parameters that live in buffers of ours, so that new weights are written in place and nothing is allocated by a step. */
export class DeviceParameters {
  readonly tensors: readonly tf.Tensor[];
  readonly #buffers: readonly GPUBuffer[];
  readonly #device: GPUDevice;
  readonly #layout: ParameterLayout;

  constructor(backend: WebGPUBackend, layout: ParameterLayout) {
    this.#device = backend.device;
    this.#layout = layout;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.#buffers = layout.parameters.map(({ name, size }) => this.#device.createBuffer({ label: name, size: 4 * size, usage }));
    this.tensors = layout.parameters.map(({ shape }, index) =>
      tf.keep(tf.tensor({ buffer: this.#buffers[index] as GPUBuffer, zeroCopy: true }, [...shape], "float32")),
    );
  }

  write(flat: Float32Array<ArrayBuffer>): void {
    for (const [index, { offset, size }] of this.#layout.parameters.entries())
      this.#device.queue.writeBuffer(this.#buffers[index] as GPUBuffer, 0, flat, offset, size);
  }

  dispose(): void {
    tf.dispose([...this.tensors]);
    for (const buffer of this.#buffers) buffer.destroy();
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
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const names = Object.keys(shapes) as Name[];
    this.#buffers = new Map(
      names.map((name) => [
        name,
        this.#device.createBuffer({ label: name, size: 4 * tf.util.sizeFromShape([...shapes[name].shape]), usage }),
      ]),
    );
    this.tensors = Object.fromEntries(
      names.map((name) => {
        const buffer = this.#buffers.get(name) as GPUBuffer;
        return [name, tf.keep(tf.tensor({ buffer, zeroCopy: true }, [...shapes[name].shape], shapes[name].dtype))];
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

  constructor(backend: WebGPUBackend) {
    this.#backend = backend;
  }

  /** The tensors' values in order. Rejects when the device is lost meanwhile. */
  async read(tensors: readonly tf.Tensor[]): Promise<Float32Array<ArrayBuffer>> {
    const sources = tensors.map((tensor) => ({ buffer: this.#bufferOf(tensor), sizeBytes: 4 * tensor.size }));
    return this.readSources(sources);
  }

  /** The values of buffers in order. */
  async readSources(sources: readonly Source[]): Promise<Float32Array<ArrayBuffer>> {
    const total = sources.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const staging = this.#stagingOf(total);
    flush(this.#backend);
    const encoder = this.#backend.device.createCommandEncoder();
    let offset = 0;
    for (const { buffer, sizeBytes } of sources) {
      encoder.copyBufferToBuffer(buffer, 0, staging, offset, sizeBytes);
      offset += sizeBytes;
    }
    this.#backend.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ, 0, total);
    const values = new Float32Array(staging.getMappedRange(0, total).slice(0));
    staging.unmap();
    return values;
  }

  dispose(): void {
    this.#staging?.destroy();
    this.#staging = null;
  }

  /** The buffer of a tensor's values; a small tensor that was computed on the CPU is uploaded first. */
  #bufferOf(tensor: tf.Tensor): GPUBuffer {
    const data = this.#backend.tensorMap.get(tensor.dataId);
    if (data.resource === undefined || data.resource === null) this.#backend.uploadToGPU(tensor.dataId);
    return data.resource as GPUBuffer;
  }

  #stagingOf(sizeBytes: number): GPUBuffer {
    if (this.#staging === null || this.#staging.size < sizeBytes) {
      this.#staging?.destroy();
      this.#staging = this.#backend.device.createBuffer({ size: sizeBytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    }
    return this.#staging;
  }
}
