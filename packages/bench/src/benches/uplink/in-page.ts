// What bench `uplink` does in the page: updates encoded on the device, beside the CPU's encoding of the same. Knows no rows.
import { codecNamed, decode } from "@weft/tensors";
import { DeviceEncoder, DeviceUpdate, openDevice } from "@weft/webgpu";
import { updateOf } from "./update.ts";

export interface DeviceFigures {
  readonly sizeBytes: number;
  readonly cpuBytes: number;
  /** Values that are not, bit for bit, those of the CPU's encoding. */
  readonly differing: number;
}

const values = (name: string, bytes: Uint8Array, size: number): Float32Array => {
  const codec = codecNamed(name);
  const decoded = codec === undefined ? null : decode(codec, bytes, size);
  if (!decoded?.ok) throw new Error(decoded?.detail ?? `there is no codec ${name}`);
  return decoded.update;
};

export async function encodeOnDevice(name: string, size: number, seed: number): Promise<DeviceFigures> {
  const opened = await openDevice({ gpu: navigator.gpu, allowSoftware: true });
  if (!opened.ok) throw new Error(opened.message);
  const { device } = opened.value;
  const update = updateOf(size, seed);
  const stream = { seed, lease: 1 };
  const buffer = device.createBuffer({ size: 4 * size, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(buffer, 0, update);
  const onDevice = new DeviceUpdate(device, await DeviceEncoder.compile(device, name), size);
  try {
    onDevice.add([{ buffer, offsetBytes: 0, sizeBytes: 4 * size }]);
    const codec = codecNamed(name);
    const { encoded } = await onDevice.pack(1, stream);
    const theirs = codec?.encode(update, stream);
    if (!encoded.ok || !theirs?.ok) throw new Error("the update was not encoded");
    const bytes = codec?.seal?.(encoded.bytes, size) ?? encoded.bytes;
    const [a, b] = [bytes, theirs.bytes].map((each) => values(name, each, size)) as [Float32Array, Float32Array];
    return {
      sizeBytes: bytes.length,
      cpuBytes: theirs.bytes.length,
      differing: a.reduce((count, value, at) => count + (value === b[at] ? 0 : 1), 0),
    };
  } finally {
    onDevice.dispose();
    buffer.destroy();
    device.destroy();
  }
}

Object.assign(globalThis, { weftUplink: { encodeOnDevice } });
