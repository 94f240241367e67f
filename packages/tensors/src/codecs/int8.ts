// int8: blocks of 256 values with one scale each, stochastically rounded, unbiased.
// Layout: ceil(size / 256) scales as f16 little-endian, then one signed byte a value. Per block m = max|x| rounded up to f16,
// q = clamp(floor(x/m*127 + u), -127, 127) with u uniform in [0, 1) from the lease's stream; decoded q*m/127.
import type { Codec } from "../codec.ts";
import { f16RoundedUp, f16ToNumber } from "../f16.ts";
import { randomStream } from "../random.ts";
import { allFinite } from "../reduce.ts";
import { fault, wrongLength } from "./faults.ts";

const BLOCK = 256;
const LEVELS = 127;
const INFINITE = 0x7c00;

const blocksOf = (size: number): number => Math.ceil(size / BLOCK);

const largest = (values: Float32Array, from: number, to: number): number => {
  let most = 0;
  for (let at = from; at < to; at++) {
    const size = Math.abs(values[at] as number);
    if (size > most) most = size;
  }
  return most;
};

export const int8: Codec = {
  name: "int8",
  bitsPerParameter: 8 + 16 / BLOCK,
  encodedBytes: (size) => 2 * blocksOf(size) + size,
  encode: (update, stream) => {
    if (!allFinite(update)) return fault("not-finite", "a value is NaN or infinite");
    const blocks = blocksOf(update.length);
    const bytes = new Uint8Array(2 * blocks + update.length);
    const random = randomStream(stream.seed, stream.lease, "codec");
    // Value i always takes word i of the stream, whatever came before it.
    const words = new Uint32Array(BLOCK);
    for (let block = 0; block < blocks; block++) {
      const from = block * BLOCK;
      const to = Math.min(update.length, from + BLOCK);
      const bits = f16RoundedUp(largest(update, from, to));
      if (bits === INFINITE) return fault("not-finite", `block ${block} reaches ${largest(update, from, to)}, beyond f16`);
      if (bits === 0) continue;
      bytes[2 * block] = bits;
      bytes[2 * block + 1] = bits >>> 8;
      const scale = f16ToNumber(bits);
      for (let pair = 0; pair < to - from; pair += 2) random.pairAt((from + pair) / 2, words, pair);
      for (let at = from; at < to; at++) {
        const uniform = ((words[at - from] as number) >>> 8) / 16_777_216;
        const level = Math.floor(((update[at] as number) / scale) * LEVELS + uniform);
        bytes[2 * blocks + at] = Math.max(-LEVELS, Math.min(LEVELS, level));
      }
    }
    return { ok: true, bytes };
  },
  decode: (bytes, size) => {
    const wanted = 2 * blocksOf(size) + size;
    if (bytes.length !== wanted) return wrongLength("int8", bytes.length, wanted, size);
    const update = new Float32Array(size);
    const blocks = blocksOf(size);
    for (let block = 0; block < blocks; block++) {
      const bits = (bytes[2 * block] as number) | ((bytes[2 * block + 1] as number) << 8);
      if ((bits & INFINITE) === INFINITE) return fault("not-finite", `the scale of block ${block} is NaN or infinite`);
      if ((bits & 0x8000) !== 0) return fault("bad-payload", `the scale of block ${block} is negative`);
      const scale = f16ToNumber(bits);
      const to = Math.min(size, (block + 1) * BLOCK);
      for (let at = block * BLOCK; at < to; at++) {
        const level = ((bytes[2 * blocks + at] as number) << 24) >> 24;
        if (level < -LEVELS) return fault("bad-payload", `value ${at} has level -128; levels are -127 to 127`);
        if (bits === 0 && level !== 0) return fault("bad-payload", `value ${at} is not 0 in a block of zeros`);
        // q*m is exact, so the one rounding is the division's: the same bits in f32 arithmetic.
        update[at] = (level * scale) / LEVELS;
      }
    }
    return { ok: true, update };
  },
};
