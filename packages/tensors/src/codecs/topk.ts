// topk: of each block of 4,096 values the 64 of largest magnitude, each as a 12-bit index and 2 bits of value; the others count as 0.
// Per block: the scale m (largest magnitude, rounded up to f16, little-endian), then one 14-bit word a chosen value, lowest bits first and
// indexes rising: bits 0 to 11 its place in the block, bit 12 whether its magnitude is m rather than m/3, bit 13 whether it is below zero;
// then bits of 0 up to a whole byte. A last, shorter block of n values has ceil(n / 64) chosen ones. 0.22 bits a parameter; the entropy coder
// (topk-form.ts) makes it 0.17 at 0.2 M parameters and less than 0.15 from 1.7 M on (bench `uplink`, normal values). Biased: it needs error
// feedback (see error-feedback.ts, beta = 0.95), so only a volunteer that stays for many leases may use it [SparseLoCo 2508.15706].
import type { Codec, CodecRefusal } from "../codec.ts";
import { f16RoundedUp, f16ToNumber } from "../f16.ts";
import { allFinite } from "../reduce.ts";
import { entropyCoded } from "./entropy-coded.ts";
import { fault, readScale, wrongLength } from "./faults.ts";
import { topkForm } from "./topk-form.ts";
import { blockBytes, chosenOf, INDEX_BITS, readWord, TOPK_BLOCK, topkBytes, WORD_BITS, writeWord } from "./topk-words.ts";

const INFINITE = 0x7c00;

/** Places of the `count` largest magnitudes, rising; among equal ones those that come first. Magnitudes order like their f32 bits. */
function choose(magnitudes: Uint32Array, count: number): Uint32Array {
  const ordered = magnitudes.slice().sort();
  const least = ordered[ordered.length - count] as number;
  let above = 0;
  for (const magnitude of magnitudes) if (magnitude > least) above += 1;
  let equal = count - above;
  const places = new Uint32Array(count);
  for (let at = 0, found = 0; found < count; at++) {
    const magnitude = magnitudes[at] as number;
    if (magnitude > least || (magnitude === least && equal-- > 0)) places[found++] = at;
  }
  return places;
}

function encodeBlock(values: Float32Array, into: Uint8Array): number | null {
  const magnitudes = new Uint32Array(values.length);
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  let most = 0;
  for (let at = 0; at < values.length; at++) {
    magnitudes[at] = (words[at] as number) & 0x7fffffff;
    most = Math.max(most, Math.abs(values[at] as number));
  }
  const bits = f16RoundedUp(most);
  if (bits === INFINITE) return most;
  into[0] = bits;
  into[1] = bits >>> 8;
  const scale = f16ToNumber(bits);
  const places = choose(magnitudes, chosenOf(values.length));
  for (let index = 0; index < places.length; index++) {
    const place = places[index] as number;
    const value = values[place] as number;
    // The nearer of m/3 and m.
    const large = 3 * Math.abs(value) >= 2 * scale && bits !== 0 ? 1 : 0;
    writeWord(into, index, place | (large << INDEX_BITS) | (value < 0 ? 1 << (INDEX_BITS + 1) : 0));
  }
  return null;
}

const plain: Codec = {
  name: "topk",
  bitsPerParameter: (8 * blockBytes(TOPK_BLOCK)) / TOPK_BLOCK,
  feedback: 0.95,
  leastBytes: topkBytes,
  mostBytes: topkBytes,
  encode: (update) => {
    if (!allFinite(update)) return fault("not-finite", "a value is NaN or infinite");
    const bytes = new Uint8Array(topkBytes(update.length));
    for (let from = 0, at = 0; from < update.length; from += TOPK_BLOCK) {
      const values = update.subarray(from, from + TOPK_BLOCK);
      const end = at + blockBytes(values.length);
      const beyond = encodeBlock(values, bytes.subarray(at, end));
      if (beyond !== null) return fault("not-finite", `block ${from / TOPK_BLOCK} reaches ${beyond}, beyond f16`);
      at = end;
    }
    return { ok: true, bytes };
  },
  open: (bytes, size) => {
    const wanted = topkBytes(size);
    if (bytes.length !== wanted) return wrongLength("topk", bytes.length, wanted, size);
    let block = 0;
    return {
      ok: true,
      reader: {
        next: (into) => {
          const at = block * blockBytes(TOPK_BLOCK);
          const refused = decodeBlock(bytes.subarray(at, at + blockBytes(into.length)), block, into);
          block += 1;
          return refused;
        },
      },
    };
  },
};

function decodeBlock(bytes: Uint8Array, block: number, into: Float32Array): CodecRefusal | null {
  const scale = readScale(bytes, 0, block);
  if (typeof scale !== "number") return scale;
  const chosen = chosenOf(into.length);
  const spare = 8 * (bytes.length - 2) - chosen * WORD_BITS;
  if (spare > 0 && (bytes[bytes.length - 1] as number) >> (8 - spare) !== 0)
    return fault("bad-payload", `the bits after the last value of block ${block} are not 0`);
  into.fill(0);
  let before = -1;
  for (let index = 0; index < chosen; index++) {
    const word = readWord(bytes, index);
    const place = word & (TOPK_BLOCK - 1);
    if (place <= before || place >= into.length)
      return fault("bad-payload", `index ${place} follows ${before} in block ${block} of ${into.length} values`);
    before = place;
    const magnitude = (word >> INDEX_BITS) & 1 ? scale : scale / 3;
    into[place] = word >> (INDEX_BITS + 1) ? -magnitude : magnitude;
  }
  return null;
}

export const topk = entropyCoded(plain, topkForm);
