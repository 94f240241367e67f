// Tensors of TensorFlow.js on parts of buffers of ours, and where a tensor's values lie. TensorFlow.js itself knows whole buffers alone.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import type * as tf from "@tensorflow/tfjs-core";

/** Part of a buffer. */
export interface Source {
  readonly buffer: GPUBuffer;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

/** Parts by the data of the tensors on them. */
const PARTS = new WeakMap<object, Source>();

interface Bindings {
  tensorToBinding(tensor: tf.TensorInfo): GPUBindingResource;
}

/** Teaches `backend` to bind the tensors of `tensorOn`. Once a backend. */
export function bindParts(backend: WebGPUBackend): void {
  const bindings = backend as unknown as Bindings;
  const whole = bindings.tensorToBinding.bind(backend);
  bindings.tensorToBinding = (tensor) => {
    const part = PARTS.get(tensor?.dataId as object);
    return part === undefined ? whole(tensor) : { buffer: part.buffer, offset: part.offsetBytes, size: part.sizeBytes };
  };
}

export const storageBuffer = (device: GPUDevice, size: number, label: string): GPUBuffer =>
  device.createBuffer({ size, label, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });

/** A tensor on `buffer` from `offsetBytes` on, a multiple of 256; the buffer stays the caller's. For operations on the GPU: what reads its
 *  values some other way sees the buffer's beginning. */
export function tensorOn(
  backend: WebGPUBackend,
  buffer: GPUBuffer,
  shape: readonly number[],
  dtype: "float32" | "int32",
  offsetBytes = 0,
): tf.Tensor {
  const tensor = backend.createTensorFromGPUData({ buffer, zeroCopy: true }, [...shape], dtype);
  PARTS.set(tensor.dataId, { buffer, offsetBytes, sizeBytes: 4 * tensor.size });
  return tensor;
}

/** Where the values of a tensor lie; a small one that was computed on the CPU is uploaded first. */
export function sourceOf(backend: WebGPUBackend, { dataId, size }: tf.Tensor): Source {
  backend.uploadToGPU(dataId);
  return PARTS.get(dataId) ?? { buffer: backend.tensorMap.get(dataId).resource as GPUBuffer, offsetBytes: 0, sizeBytes: 4 * size };
}
