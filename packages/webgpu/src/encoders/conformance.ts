// Whether a device encodes as the codec says: a fixed update, added up and encoded there, against the CPU's encoding of the same, and what that
// does not say. Devices that round or compile wrongly exist; their updates are encoded on the CPU.
import { type Codec, codecNamed, decode, encodeWithResidual, f16ToNumber, randomStream } from "@weft/tensors";
import { storageBuffer } from "../buffer-tensors.ts";
import type { DeviceEncoder } from "./device-encoder.ts";
import { DeviceUpdate } from "./device-update.ts";

const BLOCK = 256;
const SIZE = 20_003;
/** A device may divide 2.5 units in the last place off, which moves at most one level in so many, by one. */
const LEVELS_FOR_ONE_OFF = 10_000;
const DIVISOR = 4;
const STREAM = { seed: 20_260_101, lease: 7 };

/** Three vectors whose sum and difference and its quarter are exact in f32: blocks of many magnitudes, one of zeros, many values alike. */
function probe(): { readonly parts: readonly [Float32Array, Float32Array, Float32Array]; readonly mean: Float32Array } {
  const random = randomStream(STREAM.seed, STREAM.lease);
  const unitOf = (at: number): number => {
    const block = Math.floor(at / BLOCK);
    return block === 3 ? 0 : 2 ** ((block % 24) - 20);
  };
  const vector = (): Float32Array =>
    Float32Array.from({ length: SIZE }, (_, at) => unitOf(at) * ((random.u32() >>> 26) - (random.u32() >>> 26)));
  const parts = [vector(), vector(), vector()] as const;
  const mean = parts[0].map((value, at) => (value + (parts[1][at] as number) - (parts[2][at] as number)) / DIVISOR);
  return { parts, mean };
}

/** Whether `ours` is `theirs`, but for a level here and there that is one off. */
function agrees(codec: Codec, ours: Uint8Array, theirs: Uint8Array): boolean {
  const levels = codec.packedLevels;
  if (levels === undefined) return ours.length === theirs.length && ours.every((byte, at) => byte === theirs[at]);
  const [a, b] = [ours, theirs].map((bytes) => {
    const packed = levels.split(bytes, SIZE);
    const decoded = decode(codec, bytes, SIZE);
    return packed.ok && decoded.ok ? { scales: packed.scales, values: decoded.update } : null;
  });
  if (!a || !b || !a.scales.every((byte, at) => byte === b.scales[at])) return false;
  let off = 0;
  for (let from = 0; from < SIZE; from += BLOCK) {
    const [low, high] = b.scales.subarray(from / (BLOCK / 2)) as unknown as [number, number];
    const step = f16ToNumber(low | (high << 8)) / levels.top;
    for (let at = from; at < Math.min(SIZE, from + BLOCK); at++) {
      const difference = Math.abs((a.values[at] as number) - (b.values[at] as number));
      if (difference > 1.01 * step) return false;
      if (difference > 0) off += 1;
    }
  }
  return off <= SIZE / LEVELS_FOR_ONE_OFF;
}

/** Rejects when the device is lost meanwhile. */
export async function encodesRightly(device: GPUDevice, encoder: DeviceEncoder): Promise<boolean> {
  const { parts, mean } = probe();
  const codec = codecNamed(encoder.codec);
  if (codec === undefined) throw new Error(`There is no codec ${encoder.codec}`);
  // Half of it: where nothing is added, values stay alike.
  const residual = parts[0].map((value, at) => (at & 4096 ? value : 0));
  const withRest = codec.feedback === undefined ? null : encodeWithResidual(codec, codec.feedback, residual, mean, STREAM);
  const wanted = withRest ?? codec.encode(mean, STREAM);
  if (!wanted.ok) throw new Error(`The codec ${codec.name} does not encode the probe: ${wanted.detail}`);
  const update = new DeviceUpdate(device, encoder, SIZE);
  const buffers = parts.map((values) => {
    const buffer = storageBuffer(device, 4 * SIZE, "probe");
    device.queue.writeBuffer(buffer, 0, values as Float32Array<ArrayBuffer>);
    return { buffer, offsetBytes: 0, sizeBytes: 4 * SIZE };
  });
  const [first, second, third] = buffers as [(typeof buffers)[0], (typeof buffers)[0], (typeof buffers)[0]];
  try {
    update.add([first]);
    update.add([second]);
    update.subtract([third]);
    if (withRest !== null) update.give(residual);
    const { encoded } = await update.pack(DIVISOR, STREAM);
    if (!encoded.ok || !agrees(codec, codec.seal?.(encoded.bytes, SIZE) ?? encoded.bytes, wanted.bytes)) return false;
    if (withRest?.ok) {
      const rest = await update.rest();
      if (!rest?.every((value, at) => value === withRest.rest[at])) return false;
    }
    for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY, 1e30]) {
      device.queue.writeBuffer(second.buffer, 4 * (SIZE - 2), Float32Array.of(bad));
      update.add([first]);
      update.add([second]);
      if ((await update.pack(DIVISOR, STREAM)).encoded.ok) return false;
    }
    return true;
  } finally {
    update.dispose();
    for (const { buffer } of buffers) buffer.destroy();
  }
}
