// What int8, int4 and ternary share: blocks of 256 values with one scale each, rounded stochastically to whole levels, unbiased.
// Layout: ceil(size / 256) scales as f16 little-endian, then the packed levels. Per block m = max|x| rounded up to f16 and
// q = clamp(floor(x/m*L + u), -L, L) with u uniform in [0, 1) from the lease's stream; decoded q*m/L. Every step of the encoder is
// rounded to f32, so that a GPU which rounds correctly packs the same bytes. Knows not how levels become bytes.
import { type Codec, type CodecRefusal, DECODE_BLOCK, type PackedLevels } from "../codec.ts";
import { f16RoundedUp, f16ToNumber } from "../f16.ts";
import { randomStream } from "../random.ts";
import { allFinite } from "../reduce.ts";
import { fault, readScale, wrongLength } from "./faults.ts";

export const QUANTISED_BLOCK = 256;
const INFINITE = 0x7c00;
const UNIT = 1 / 16_777_216;

export interface LevelPacking {
  readonly name: string;
  /** L: levels are whole numbers from -L to L. */
  readonly levels: number;
  readonly bitsPerLevel: number;
  packedBytes(size: number): number;
  pack(levels: Int8Array, into: Uint8Array): void;
  /** Fills `levels` with those from level `from` on (a whole number of blocks), or says what no encoder writes. */
  unpack(packed: Uint8Array, from: number, levels: Int8Array): CodecRefusal | null;
  /** What no encoder writes after the last of `size` levels. */
  checkEnd(packed: Uint8Array, size: number): CodecRefusal | null;
}

const blocksOf = (size: number): number => Math.ceil(size / QUANTISED_BLOCK);

function largest(values: Float32Array, from: number, to: number): number {
  let most = 0;
  for (let at = from; at < to; at++) {
    const size = Math.abs(values[at] as number);
    if (size > most) most = size;
  }
  return most;
}

export function blockQuantised(packing: LevelPacking): Codec {
  const { name, levels: top } = packing;
  const encodedBytes = (size: number): number => 2 * blocksOf(size) + packing.packedBytes(size);
  const split: PackedLevels["split"] = (bytes, size) => {
    const wanted = encodedBytes(size);
    if (bytes.length !== wanted) return wrongLength(name, bytes.length, wanted, size);
    const packed = bytes.subarray(2 * blocksOf(size));
    return packing.checkEnd(packed, size) ?? { ok: true, scales: bytes.subarray(0, 2 * blocksOf(size)), packed };
  };
  return {
    name,
    bitsPerParameter: packing.bitsPerLevel + 16 / QUANTISED_BLOCK,
    leastBytes: encodedBytes,
    mostBytes: encodedBytes,
    encode: (update, stream) => {
      if (!allFinite(update)) return fault("not-finite", "a value is NaN or infinite");
      const blocks = blocksOf(update.length);
      const bytes = new Uint8Array(encodedBytes(update.length));
      const levels = new Int8Array(update.length);
      const random = randomStream(stream.seed, stream.lease, "codec");
      // Value i always takes word i of the stream, whatever came before it.
      const words = new Uint32Array(QUANTISED_BLOCK);
      for (let block = 0; block < blocks; block++) {
        const from = block * QUANTISED_BLOCK;
        const to = Math.min(update.length, from + QUANTISED_BLOCK);
        const bits = f16RoundedUp(largest(update, from, to));
        if (bits === INFINITE) return fault("not-finite", `block ${block} reaches ${largest(update, from, to)}, beyond f16`);
        if (bits === 0) continue;
        bytes[2 * block] = bits;
        bytes[2 * block + 1] = bits >>> 8;
        const scale = f16ToNumber(bits);
        for (let pair = 0; pair < to - from; pair += 2) random.pairAt((from + pair) / 2, words, pair);
        for (let at = from; at < to; at++) {
          const uniform = ((words[at - from] as number) >>> 8) * UNIT;
          const share = Math.fround(Math.fround((update[at] as number) / scale) * top);
          const level = Math.floor(Math.fround(share + uniform));
          // At x = m the sum can round up to L + 1.
          levels[at] = Math.max(-top, Math.min(top, level));
        }
      }
      packing.pack(levels, bytes.subarray(2 * blocks));
      return { ok: true, bytes };
    },
    packedLevels: { top, split, checkEnd: packing.checkEnd },
    open: (bytes, size) => {
      const parts = split(bytes, size);
      if (!parts.ok) return parts;
      const { scales, packed } = parts;
      const levels = new Int8Array(Math.min(size, DECODE_BLOCK));
      let from = 0;
      return {
        ok: true,
        reader: {
          next: (into) => {
            const some = levels.subarray(0, into.length);
            const refused = packing.unpack(packed, from, some) ?? scaled(scales, from, some, into, top);
            from += into.length;
            return refused;
          },
        },
      };
    },
  };
}

function scaled(scales: Uint8Array, from: number, levels: Int8Array, into: Float32Array, top: number): CodecRefusal | null {
  for (let start = 0; start < into.length; start += QUANTISED_BLOCK) {
    const block = (from + start) / QUANTISED_BLOCK;
    const scale = readScale(scales, 2 * block, block);
    if (typeof scale !== "number") return scale;
    const end = Math.min(into.length, start + QUANTISED_BLOCK);
    for (let at = start; at < end; at++) {
      const level = levels[at] as number;
      if (scale === 0 && level !== 0) return fault("bad-payload", `value ${from + at} is not 0 in a block of zeros`);
      // q*m is exact, so the one rounding is the division's: the same bits in f32 arithmetic.
      into[at] = (level * scale) / top;
    }
  }
  return null;
}
