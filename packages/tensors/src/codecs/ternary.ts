// ternary: -1, 0 or 1 times the block's scale, five to a byte as digits to base 3 (0, 1, and 2 for -1), the first value in the lowest digit.
// 1.66 bits a parameter, unbiased, no state; the entropy coder makes it about 1.2. For rounds of about eight contributions and more, whose
// average smooths its noise. Coded form: the scales as they are, then the levels compressed.
import { compress } from "../entropy.ts";
import { blockQuantised, QUANTISED_BLOCK } from "./block-quantised.ts";
import { type EntropyForm, entropyCoded } from "./entropy-coded.ts";
import { fault } from "./faults.ts";

const TRITS = 5;
/** 3^5: bytes from here on stand for nothing. */
const BYTES = 243;
const POWERS = [1, 3, 9, 27, 81] as const;

/** The five levels of each byte, one behind the other. */
const LEVELS = Int8Array.from({ length: BYTES * TRITS }, (_, at) => {
  const digit = Math.floor(Math.floor(at / TRITS) / (POWERS[at % TRITS] as number)) % 3;
  return digit === 2 ? -1 : digit;
});

const packedBytes = (size: number): number => Math.ceil(size / TRITS);

const plain = blockQuantised({
  name: "ternary",
  levels: 1,
  bitsPerLevel: 8 / TRITS,
  packedBytes,
  pack: (levels, into) => {
    for (let byte = 0, at = 0; at < levels.length; byte++) {
      let digits = 0;
      for (let trit = 0; trit < TRITS && at < levels.length; trit++, at++)
        digits += ((levels[at] as number) < 0 ? 2 : (levels[at] as number)) * (POWERS[trit] as number);
      into[byte] = digits;
    }
  },
  unpack: (packed, from, levels) => {
    let byte = Math.floor(from / TRITS);
    let trit = from - byte * TRITS;
    for (let at = 0; at < levels.length; byte++, trit = 0) {
      const digits = packed[byte] as number;
      if (digits >= BYTES) return fault("bad-payload", `byte ${byte} of the levels is ${digits}; five digits to base 3 are at most 242`);
      for (; trit < TRITS && at < levels.length; trit++, at++) levels[at] = LEVELS[digits * TRITS + trit] as number;
    }
    return null;
  },
  checkEnd: (packed, size) => {
    const last = packed[packed.length - 1] ?? 0;
    const used = size - (packed.length - 1) * TRITS;
    return last < BYTES && Math.floor(last / (POWERS[used] ?? BYTES)) !== 0
      ? fault("bad-payload", "the digits after the last value are not 0")
      : null;
  },
});

const scaleBytes = (size: number): number => 2 * Math.ceil(size / QUANTISED_BLOCK);

const partsOf: NonNullable<EntropyForm["parts"]> = (coded, size, expand) => {
  if (coded.length < scaleBytes(size)) return fault("wrong-length", `${coded.length} bytes do not hold the scales of ${size} values`);
  const levels = expand(coded.subarray(scaleBytes(size)), packedBytes(size));
  return levels.ok ? { ok: true, scales: coded.subarray(0, scaleBytes(size)), packed: levels.bytes } : fault("bad-payload", levels.detail);
};

export const ternary = entropyCoded(plain, {
  code: (bytes, size) => {
    const levels = compress(bytes.subarray(scaleBytes(size)));
    const coded = new Uint8Array(scaleBytes(size) + levels.length);
    coded.set(bytes.subarray(0, scaleBytes(size)));
    coded.set(levels, scaleBytes(size));
    return coded;
  },
  parts: partsOf,
  decode: (coded, size, expand) => {
    const parts = partsOf(coded, size, expand);
    if (!parts.ok) return parts;
    const bytes = new Uint8Array(parts.scales.length + parts.packed.length);
    bytes.set(parts.scales);
    bytes.set(parts.packed, parts.scales.length);
    return { ok: true, bytes };
  },
});
