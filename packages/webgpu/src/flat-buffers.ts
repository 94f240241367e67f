// Between flat f32 vectors and tensors on the device: one buffer a parameter on the way in, one staging buffer and one awaited map on
// the way out. Knows no model.

import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import type { ParameterLayout } from "@weft/tensors";

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

/** Reads f32 tensors back one behind the other. One map a read; reads do not overlap. */
export class FlatReadBack {
  readonly #backend: WebGPUBackend;
  #staging: GPUBuffer | null = null;

  constructor(backend: WebGPUBackend) {
    this.#backend = backend;
  }

  /** The tensors' values in order. Rejects when the device is lost meanwhile. */
  async read(tensors: readonly tf.Tensor[]): Promise<Float32Array<ArrayBuffer>> {
    const sizeBytes = tensors.reduce((sum, tensor) => sum + 4 * tensor.size, 0);
    const staging = this.#stagingOf(sizeBytes);
    this.#flush();
    const encoder = this.#backend.device.createCommandEncoder();
    let offset = 0;
    for (const tensor of tensors) {
      encoder.copyBufferToBuffer(this.#bufferOf(tensor), 0, staging, offset, 4 * tensor.size);
      offset += 4 * tensor.size;
    }
    this.#backend.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ, 0, sizeBytes);
    const values = new Float32Array(staging.getMappedRange(0, sizeBytes).slice(0));
    staging.unmap();
    return values;
  }

  dispose(): void {
    this.#staging?.destroy();
    this.#staging = null;
  }

  /** Hands the commands that TensorFlow.js still holds to the queue, so that ours come after them. */
  #flush(): void {
    this.#backend.ensureCommandEncoderReady();
    this.#backend.endComputePassEncoder();
    this.#backend.submitQueue();
  }

  /** The buffer of a tensor's values; a small tensor that was computed on the CPU is uploaded first. */
  #bufferOf(tensor: tf.Tensor): GPUBuffer {
    const data = this.#backend.tensorMap.get(tensor.dataId);
    if (data.resource === undefined || data.resource === null) {
      this.#backend.uploadToGPU(tensor.dataId);
      this.#flush();
    }
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
