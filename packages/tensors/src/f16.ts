// f32 to f16 (IEEE 754 binary16) and back, by bits. JavaScript engines of the supported Node have no such conversion.

const word = new Uint32Array(1);
const real = new Float32Array(word.buffer);

/** The largest finite f16. */
export const MAX_F16 = 65_504;

/** Exact value of f16 bits (0 to 0xffff); infinities and NaN included. */
export function f16ToNumber(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (fraction + 1024) * 2 ** (exponent - 25);
}

/** f16 bits of the magnitude, cut towards zero, and whether the cut lost anything or more than half. Magnitude bits of an f32 below infinity. */
function cut(magnitude: number): { readonly bits: number; readonly lost: number; readonly half: number } {
  const exponent = magnitude >>> 23;
  if (exponent >= 113) return { bits: (magnitude >>> 13) - (112 << 10), lost: magnitude & 0x1fff, half: 0x1000 };
  // Below the smallest normal f16: shift the fraction, with its leading one, to units of 2^-24.
  const fraction = exponent === 0 ? magnitude : (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - Math.max(exponent, 1);
  if (shift > 25) return { bits: 0, lost: fraction === 0 ? 0 : 1, half: 2 };
  return { bits: fraction >>> shift, lost: fraction & ((1 << shift) - 1), half: 1 << (shift - 1) };
}

/** f16 bits nearest to the f32 nearest to `value`, ties to even; beyond the range infinity, NaN to a quiet NaN. */
export function f16Nearest(value: number): number {
  real[0] = value;
  const all = word[0] as number;
  const sign = (all >>> 16) & 0x8000;
  const magnitude = all & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65,520 and above round to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  const { bits, lost, half } = cut(magnitude);
  return sign | (lost > half || (lost === half && (bits & 1) === 1) ? bits + 1 : bits);
}

/** f16 bits of the smallest f16 that is at least the f32 `value`, which must be 0 or more; beyond the range 0x7c00 (infinity). */
export function f16RoundedUp(value: number): number {
  real[0] = value;
  const magnitude = word[0] as number;
  if (magnitude === 0) return 0;
  if (!(value > 0)) throw new RangeError(`only values of 0 and above are rounded up, not ${value}`);
  if (magnitude > 0x477fe000) return 0x7c00;
  const { bits, lost } = cut(magnitude);
  return lost > 0 ? bits + 1 : bits;
}
