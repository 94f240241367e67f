// Counter-based random numbers: any draw of any stream can be computed on its own, and gives the same bits everywhere.
// Threefry-2x32 with 20 rounds [Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3; SC 2011]: only additions,
// rotations and exclusive ors of 32 bits, so a GPU can do it too. Not for secrets. Knows nothing of what the numbers are for.

const PARITY = 0x1bd11bda;

/**
 * One block: (key0, key1) and (counter0, counter1), 32 bits each, to two words written at `out[at]` and `out[at + 1]`.
 */
export function threefry2x32(key0: number, key1: number, counter0: number, counter1: number, out: Uint32Array, at = 0): void {
  const key2 = PARITY ^ key0 ^ key1;
  let x0 = (counter0 + key0) | 0;
  let x1 = (counter1 + key1) | 0;
  let before = key1;
  let after = key2;
  let next = key0;
  // Five groups of four rounds; after group g the key words move on by one and g is added. Rotations are Random123's R_32x2.
  for (let group = 1; group <= 5; group++) {
    if ((group & 1) === 1) {
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;
    } else {
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 17) | (x1 >>> 15)) ^ x0;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 29) | (x1 >>> 3)) ^ x0;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 16) | (x1 >>> 16)) ^ x0;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << 24) | (x1 >>> 8)) ^ x0;
    }
    x0 = (x0 + before) | 0;
    x1 = (x1 + after + group) | 0;
    const first = before;
    before = after;
    after = next;
    next = first;
  }
  out[at] = x0;
  out[at + 1] = x1;
}

/** What a stream is for. Streams of different uses never meet, whatever their seed and number. The numbers are part of the bits: never reuse one. */
export const RANDOM_USES = {
  general: 0,
  codec: 1,
  permutation: 2,
  window: 3,
  initialisation: 4,
  split: 5,
  synthetic: 6,
  visit: 7,
  order: 8,
  partition: 9,
} as const;
export type RandomUse = keyof typeof RANDOM_USES;

/** 2^-24: a multiple of it below 1 is an f32 exactly. */
const UNIT = 1 / 16_777_216;
const WORD = 4_294_967_296;

export interface RandomStream {
  /** The two u32 of block `counter` (whole, 0 to 2^53 - 1): random access, leaves the sequence where it is. */
  pairAt(counter: number, out: Uint32Array, at?: number): void;
  /** The first 53 bits of block `counter`, as a whole number in [0, 2^53). */
  bits53At(counter: number): number;
  /** Next u32 of the sequence: both words of block 0, then of block 1, and so on. */
  u32(): number;
  /** Next uniform in [0, 1), a multiple of 2^-24, exact in f32. */
  uniform(): number;
  /** Next normal, mean 0 and deviation 1, as the sum of 12 uniforms minus 6 (Irwin-Hall): within 6, exact in f64, the same bits everywhere. */
  normal(): number;
}

/** The key of a stream's blocks, for whoever computes them elsewhere: on a GPU. */
export function streamKey(seed: number, stream: number, use: RandomUse = "general"): readonly [number, number] {
  if (!Number.isInteger(seed) || seed < 0 || seed >= WORD) throw new RangeError(`a seed is a u32, not ${seed}`);
  if (!Number.isSafeInteger(stream) || stream < 0) throw new RangeError(`a stream is a whole number below 2^53, not ${stream}`);
  const words = new Uint32Array(2);
  threefry2x32(seed, RANDOM_USES[use], stream >>> 0, Math.floor(stream / WORD), words);
  return [words[0] as number, words[1] as number];
}

/**
 * Stream `stream` (whole, 0 to 2^53 - 1: a lease, an epoch, a parameter's index) of `seed` (u32). Seed, use and stream are
 * hashed into the 64-bit key of the blocks, so that large stream numbers cost nothing later.
 */
export function randomStream(seed: number, stream: number, use: RandomUse = "general"): RandomStream {
  const [key0, key1] = streamKey(seed, stream, use);
  const words = new Uint32Array(2);
  let counter = 0;
  let held = false;
  const block = (at: number, out: Uint32Array, place = 0): void => threefry2x32(key0, key1, at >>> 0, Math.floor(at / WORD), out, place);
  const u32 = (): number => {
    if (held) {
      held = false;
      return words[1] as number;
    }
    block(counter++, words);
    held = true;
    return words[0] as number;
  };
  const pair = new Uint32Array(2);
  return {
    pairAt: block,
    bits53At: (at) => {
      block(at, pair);
      return (pair[0] as number) * 2_097_152 + ((pair[1] as number) >>> 11);
    },
    u32,
    uniform: () => (u32() >>> 8) * UNIT,
    normal: () => {
      let sum = -6;
      for (let index = 0; index < 12; index++) sum += (u32() >>> 8) * UNIT;
      return sum;
    },
  };
}
