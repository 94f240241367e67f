// What bench `uplink` does in the page: updates encoded on the device, beside the CPU's encoding of the same. Knows no rows.
import { codecNamed, decode } from "@weft/tensors";
import { DeviceEncoder, DeviceUpdate, openDevice } from "@weft/webgpu";
import { updateOf } from "./update.ts";

export interface DeviceFigures {
  readonly sizeBytes: number;
  readonly cpuBytes: number;
  /** Values that are not, bit for bit, those of the CPU's encoding. */
  readonly differing: number;
  /** From the update on the device to its packed bytes here, fastest of three. */
  readonly packMs: number;
}

const TURNS = 3;

const values = (name: string, bytes: Uint8Array, size: number): Float32Array => {
  const codec = codecNamed(name);
  const decoded = codec === undefined ? null : decode(codec, bytes, size);
  if (!decoded?.ok) throw new Error(decoded?.detail ?? `there is no codec ${name}`);
  return decoded.update;
};

/** `isTimed`: else `packMs` is infinite. */
export async function encodeOnDevice(name: string, size: number, seed: number, isTimed: boolean): Promise<DeviceFigures> {
  const opened = await openDevice({ gpu: navigator.gpu, allowSoftware: true });
  if (!opened.ok) throw new Error(opened.message);
  const { device } = opened.value;
  const update = updateOf(size, seed);
  const stream = { seed, lease: 1 };
  const buffer = device.createBuffer({ size: 4 * size, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(buffer, 0, update);
  const onDevice = new DeviceUpdate(device, await DeviceEncoder.compile(device, name), size);
  try {
    const codec = codecNamed(name);
    const pack = () => {
      onDevice.add([{ buffer, offsetBytes: 0, sizeBytes: 4 * size }]);
      return onDevice.pack(1, stream);
    };
    const { encoded } = await pack();
    let packMs = Number.POSITIVE_INFINITY;
    for (let turn = 0; turn < (isTimed ? TURNS : 0); turn++) {
      const beganMs = performance.now();
      await pack();
      packMs = Math.min(packMs, performance.now() - beganMs);
    }
    const theirs = codec?.encode(update, stream);
    if (!encoded.ok || !theirs?.ok) throw new Error("the update was not encoded");
    const bytes = codec?.seal?.(encoded.bytes, size) ?? encoded.bytes;
    const [a, b] = [bytes, theirs.bytes].map((each) => values(name, each, size)) as [Float32Array, Float32Array];
    return {
      sizeBytes: bytes.length,
      cpuBytes: theirs.bytes.length,
      packMs,
      differing: a.reduce((count, value, at) => count + (value === b[at] ? 0 : 1), 0),
    };
  } finally {
    onDevice.dispose();
    buffer.destroy();
    device.destroy();
  }
}

Object.assign(globalThis, { weftUplink: { encodeOnDevice } });
