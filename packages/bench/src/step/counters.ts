// Counts what an engine asks of WebGPU in its frame: dispatches, submits of something, maps, and bytes in buffers that live.

export interface Counts {
  readonly dispatches: number;
  readonly submits: number;
  readonly maps: number;
}
const counts = { dispatches: 0, submits: 0, maps: 0 };
const held = new WeakMap<GPUDevice, number>();
const owners = new WeakMap<GPUBuffer, GPUDevice>();
const devices: GPUDevice[] = [];

function wrap<T extends object, K extends keyof T>(prototype: T, method: K, before: (self: T, args: unknown[]) => void): void {
  const original = prototype[method] as (...args: unknown[]) => unknown;
  prototype[method] = function (this: T, ...args: unknown[]) {
    before(this, args);
    return original.apply(this, args);
  } as T[K];
}

/** Before any engine opens a device. */
export function install(): void {
  if (!("GPUDevice" in globalThis)) return;
  wrap(GPUComputePassEncoder.prototype, "dispatchWorkgroups", () => counts.dispatches++);
  wrap(GPUQueue.prototype, "submit", (_, [buffers]) => {
    if ((buffers as readonly GPUCommandBuffer[]).length > 0) counts.submits++;
  });
  wrap(GPUBuffer.prototype, "mapAsync", () => counts.maps++);
  wrap(GPUBuffer.prototype, "destroy", (buffer) => {
    const device = owners.get(buffer);
    if (device === undefined) return;
    owners.delete(buffer);
    held.set(device, (held.get(device) ?? 0) - buffer.size);
  });
  const { createBuffer } = GPUDevice.prototype;
  GPUDevice.prototype.createBuffer = function (this: GPUDevice, descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    owners.set(buffer, this);
    held.set(this, (held.get(this) ?? 0) + buffer.size);
    return buffer;
  };
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (this: GPUAdapter, descriptor) {
    const device = await requestDevice.call(this, descriptor);
    devices.push(device);
    return device;
  };
}

export const read = (): Counts => ({ ...counts });
/** Bytes in live buffers of all devices together. */
export const heldBytes = (): number => devices.reduce((sum, device) => sum + (held.get(device) ?? 0), 0);
