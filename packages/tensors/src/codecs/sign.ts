// sign: one bit a value (1 for below zero) and one scale for each block of 256, the mean of its magnitudes as the nearest f16.
// Layout: ceil(size / 256) scales little-endian, then the bits, the first value in the lowest bit. 1.06 bits a parameter. Biased: it needs
// error feedback (see error-feedback.ts, beta = 1), so only a volunteer that stays for many leases may use it
// [Seide et al. 2014; Karimireddy et al. 1901.09847].
import type { Codec } from "../codec.ts";
import { f16Nearest } from "../f16.ts";
import { allFinite, magnitudeSum } from "../reduce.ts";
import { fault, readScale, wrongLength } from "./faults.ts";

const BLOCK = 256;
const INFINITE = 0x7c00;
const blocksOf = (size: number): number => Math.ceil(size / BLOCK);
const encodedBytes = (size: number): number => 2 * blocksOf(size) + Math.ceil(size / 8);

export const sign: Codec = {
  name: "sign",
  bitsPerParameter: 1 + 16 / BLOCK,
  feedback: 1,
  leastBytes: encodedBytes,
  mostBytes: encodedBytes,
  encode: (update) => {
    if (!allFinite(update)) return fault("not-finite", "a value is NaN or infinite");
    const size = update.length;
    const blocks = blocksOf(size);
    const bytes = new Uint8Array(encodedBytes(size));
    for (let block = 0; block < blocks; block++) {
      const values = update.subarray(block * BLOCK, Math.min(size, (block + 1) * BLOCK));
      const mean = magnitudeSum(values) / values.length;
      const bits = f16Nearest(mean);
      if (bits === INFINITE) return fault("not-finite", `the mean magnitude of block ${block} is ${mean}, beyond f16`);
      bytes[2 * block] = bits;
      bytes[2 * block + 1] = bits >>> 8;
    }
    for (let at = 0; at < size; at++)
      if ((update[at] as number) < 0) bytes[2 * blocks + (at >> 3)] = (bytes[2 * blocks + (at >> 3)] as number) | (1 << (at & 7));
    return { ok: true, bytes };
  },
  open: (bytes, size) => {
    const wanted = encodedBytes(size);
    if (bytes.length !== wanted) return wrongLength("sign", bytes.length, wanted, size);
    const signs = bytes.subarray(2 * blocksOf(size));
    const spare = 8 * signs.length - size;
    if (spare > 0 && (signs[signs.length - 1] as number) >> (8 - spare) !== 0)
      return fault("bad-payload", "the bits after the last value are not 0");
    let from = 0;
    return {
      ok: true,
      reader: {
        next: (into) => {
          for (let start = 0; start < into.length; start += BLOCK) {
            const block = (from + start) / BLOCK;
            const scale = readScale(bytes, 2 * block, block);
            if (typeof scale !== "number") return scale;
            const end = Math.min(into.length, start + BLOCK);
            for (let index = start; index < end; index++) {
              const at = from + index;
              into[index] = (((signs[at >> 3] as number) >> (at & 7)) & 1) === 1 ? -scale : scale;
            }
          }
          from += into.length;
          return null;
        },
      },
    };
  },
};
