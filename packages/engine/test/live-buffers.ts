// Counts the GPU's buffers that live, whoever made them: those of TensorFlow.js's pool, of tapes and of our own alike.

export interface LiveBuffers {
  readonly count: number;
  readonly sizeBytes: number;
}

/** From now on, on all devices, until `restore`. */
export function watchBuffers(): { readonly now: () => LiveBuffers; readonly restore: () => void } {
  const live = new Map<GPUBuffer, number>();
  const { createBuffer } = GPUDevice.prototype;
  const { destroy } = GPUBuffer.prototype;
  GPUDevice.prototype.createBuffer = function (this: GPUDevice, descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    live.set(buffer, descriptor.size);
    return buffer;
  };
  GPUBuffer.prototype.destroy = function (this: GPUBuffer) {
    live.delete(this);
    return destroy.call(this);
  };
  return {
    now: () => ({ count: live.size, sizeBytes: [...live.values()].reduce((sum, size) => sum + size, 0) }),
    restore: () => {
      GPUDevice.prototype.createBuffer = createBuffer;
      GPUBuffer.prototype.destroy = destroy;
    },
  };
}
