// Exponential, logarithm and what is made of them: f32 in four lanes, within a few units in the last place, the same bits everywhere.

const LOG2_E: f32 = 1.4426950408889634;
// ln 2 in two parts, the first with few enough bits that its multiples are exact (Cody and Waite).
const LN2_HIGH: f32 = 0.693359375;
const LN2_LOW: f32 = -2.12194440054690582e-4;

/** 2^n for n of normal exponents. */
@inline
function power2(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, i32x4.splat(127)), 23);
}

/** e^x: x = n ln 2 + r, e^r by its series to r^7 (below 6e-9 beyond), scaled in two steps so that results may be subnormal or infinite. */
@inline
export function exp4(x: v128): v128 {
  const bounded = f32x4.max(f32x4.min(x, f32x4.splat(89)), f32x4.splat(-104));
  const n = f32x4.nearest(f32x4.mul(bounded, f32x4.splat(LOG2_E)));
  const r = f32x4.sub(f32x4.sub(bounded, f32x4.mul(n, f32x4.splat(LN2_HIGH))), f32x4.mul(n, f32x4.splat(LN2_LOW)));
  let p = f32x4.splat(<f32>(1.0 / 5040));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(<f32>(1.0 / 720)));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(<f32>(1.0 / 120)));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(<f32>(1.0 / 24)));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(<f32>(1.0 / 6)));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(0.5));
  p = f32x4.add(f32x4.mul(f32x4.mul(p, r), r), r);
  p = f32x4.add(p, f32x4.splat(1));
  const whole = i32x4.trunc_sat_f32x4_s(n);
  const half = i32x4.shr_s(whole, 1);
  return f32x4.mul(f32x4.mul(p, power2(half)), power2(i32x4.sub(whole, half)));
}

/** ln x for positive normal x, in f64: x = m 2^n with m near 1, ln m = 2 artanh((m - 1) / (m + 1)). */
export function log1(x: f64): f64 {
  const bits = reinterpret<u64>(x);
  let exponent = <i32>((bits >> 52) & 2047) - 1023;
  let m = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    exponent++;
  }
  const s = (m - 1) / (m + 1), square = s * s;
  let sum: f64 = 0;
  for (let odd = 21; odd >= 1; odd -= 2) sum = sum * square + 1.0 / <f64>odd;
  return 2 * s * sum + <f64>exponent * 0.6931471805599453;
}

/** 1 / (1 + e^-x). */
@inline
export function sigmoid4(x: v128): v128 {
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x))));
}

/** (1 - e^-2|x|) / (1 + e^-2|x|) with the sign of x; near 0, where that cancels, the series to x^9. */
@inline
export function tanh4(x: v128): v128 {
  const z = f32x4.abs(x);
  const e = exp4(f32x4.mul(z, f32x4.splat(-2)));
  const far = f32x4.div(f32x4.sub(f32x4.splat(1), e), f32x4.add(f32x4.splat(1), e));
  const s = f32x4.mul(z, z);
  let p = f32x4.splat(<f32>(62.0 / 2835));
  p = f32x4.add(f32x4.mul(p, s), f32x4.splat(<f32>(-17.0 / 315)));
  p = f32x4.add(f32x4.mul(p, s), f32x4.splat(<f32>(2.0 / 15)));
  p = f32x4.add(f32x4.mul(p, s), f32x4.splat(<f32>(-1.0 / 3)));
  const near = f32x4.add(z, f32x4.mul(f32x4.mul(z, s), p));
  const size = v128.bitselect(near, far, f32x4.lt(z, f32x4.splat(0.25)));
  return v128.or(size, v128.and(x, f32x4.splat(-0.0)));
}

/** Sum of the lanes, in a fixed order. */
@inline
export function across(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

/** The first `count` (1 to 3) of four values; the others are 0. Reads nothing beyond them. */
export function loadPart(from: usize, count: i32): v128 {
  let v = v128.load32_zero(from);
  if (count > 1) v = f32x4.replace_lane(v, 1, load<f32>(from, 4));
  if (count > 2) v = f32x4.replace_lane(v, 2, load<f32>(from, 8));
  return v;
}

export function storePart(to: usize, v: v128, count: i32): void {
  store<f32>(to, f32x4.extract_lane(v, 0));
  if (count > 1) store<f32>(to, f32x4.extract_lane(v, 1), 4);
  if (count > 2) store<f32>(to, f32x4.extract_lane(v, 2), 8);
}
