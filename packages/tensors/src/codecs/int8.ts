// int8: one signed byte a value. 8.06 bits a parameter, unbiased, no state. For the one or two contributions of a small round.
import { blockQuantised } from "./block-quantised.ts";
import { fault } from "./faults.ts";

export const int8 = blockQuantised({
  name: "int8",
  levels: 127,
  bitsPerLevel: 8,
  packedBytes: (size) => size,
  pack: (levels, into) => into.set(new Uint8Array(levels.buffer, levels.byteOffset, levels.length)),
  unpack: (packed, from, levels) => {
    levels.set(packed.subarray(from, from + levels.length));
    const below = levels.indexOf(-128);
    return below < 0 ? null : fault("bad-payload", `value ${from + below} has level -128; levels are -127 to 127`);
  },
  checkEnd: () => null,
});
