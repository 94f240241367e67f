// int4: two's complement halves of a byte, the even value in the lower one; an odd size leaves the last half 0. 4.06 bits a parameter,
// unbiased, no state. For rounds of three to seven contributions, whose average smooths its noise.
import { blockQuantised } from "./block-quantised.ts";
import { fault } from "./faults.ts";

/** Of a half, moved to the top of 32 bits and back, so that its sign spreads. */
const signed = (half: number): number => (half << 28) >> 28;

export const int4 = blockQuantised({
  name: "int4",
  levels: 7,
  bitsPerLevel: 4,
  packedBytes: (size) => (size + 1) >> 1,
  pack: (levels, into) => {
    for (let at = 0; at < levels.length; at++) {
      const half = (levels[at] as number) & 15;
      into[at >> 1] = (at & 1) === 0 ? half : (into[at >> 1] as number) | (half << 4);
    }
  },
  unpack: (packed, from, levels) => {
    for (let index = 0; index < levels.length; index++) {
      const at = from + index;
      const byte = packed[at >> 1] as number;
      const level = signed((at & 1) === 0 ? byte & 15 : byte >> 4);
      if (level === -8) return fault("bad-payload", `value ${at} has level -8; levels are -7 to 7`);
      levels[index] = level;
    }
    return null;
  },
  checkEnd: (packed, size) =>
    (size & 1) === 1 && (packed[packed.length - 1] as number) >> 4 !== 0
      ? fault("bad-payload", "the half byte after the last value is not 0")
      : null,
});
