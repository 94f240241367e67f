// f32: the values as they are, little-endian. Lossless.
import { f32Into, f32ToBytes } from "../bytes.ts";
import type { Codec } from "../codec.ts";
import { allFinite } from "../reduce.ts";
import { fault, wrongLength } from "./faults.ts";

const NOT_FINITE = fault("not-finite", "a value is NaN or infinite");

export const f32: Codec = {
  name: "f32",
  bitsPerParameter: 32,
  isPlain: true,
  leastBytes: (size) => 4 * size,
  mostBytes: (size) => 4 * size,
  encode: (update) => (allFinite(update) ? { ok: true, bytes: f32ToBytes(update) } : NOT_FINITE),
  open: (bytes, size) => {
    if (bytes.length !== 4 * size) return wrongLength("f32", bytes.length, 4 * size, size);
    let at = 0;
    return {
      ok: true,
      reader: {
        next: (into) => {
          f32Into(into, bytes.subarray(at, at + into.byteLength));
          at += into.byteLength;
          return allFinite(into) ? null : NOT_FINITE;
        },
      },
    };
  },
};
