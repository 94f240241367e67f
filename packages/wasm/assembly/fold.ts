// A module of its own: encoded updates into weighted sums, a block of values at a time, with the bits of the rules' own arithmetic: products
// and sums in f64, in the order of the calls. Sums lie as f64, everything else as it came. Functions that read what somebody sent give 0, or
// 1 for what no encoder writes; then the sums are of no use.

/** Values with one scale. */
const BLOCK: i32 = 256;

@inline
function addTo(sums: usize, weight: v128, x: v128): void {
  const low = f64x2.promote_low_f32x4(x);
  const high = f64x2.promote_low_f32x4(i64x2.shuffle(x, x, 1, 1));
  v128.store(sums, f64x2.add(v128.load(sums), f64x2.mul(weight, low)));
  v128.store(sums, f64x2.add(v128.load(sums, 16), f64x2.mul(weight, high)), 16);
}

@inline
function addOne(sums: usize, weight: f64, x: f32): void {
  store<f64>(sums, load<f64>(sums) + weight * <f64>x);
}

/** sums[i] += weight * values[i]; values must be finite. */
export function addValues(values: usize, sums: usize, size: i32, weight: f64): i32 {
  const w = f64x2.splat(weight);
  const magnitude = i32x4.splat(0x7fffffff);
  let most = i32x4.splat(0);
  for (; size >= 4; size -= 4, values += 16, sums += 32) {
    const x = v128.load(values);
    most = i32x4.max_u(most, v128.and(x, magnitude));
    addTo(sums, w, x);
  }
  let bad = i32(v128.any_true(i32x4.ge_u(most, i32x4.splat(0x7f800000))));
  for (; size; size--, values += 4, sums += 8) {
    bad |= i32((load<u32>(values) & 0x7f800000) == 0x7f800000);
    addOne(sums, weight, load<f32>(values));
  }
  return bad;
}

/** Of f16 bits that are finite and not negative. */
@inline
function scaleOf(bits: u32): f32 {
  return bits >> 10 ? reinterpret<f32>((bits << 13) + (112 << 23)) : <f32>bits * <f32>5.9604644775390625e-8;
}

/** sums[i] += weight * (levels[i] * scale of its block / top): levels are signed bytes from -top to top, scales f16. */
export function addLevels(levels: usize, scales: usize, sums: usize, size: i32, weight: f64, top: i32): i32 {
  const w = f64x2.splat(weight), tops = f32x4.splat(<f32>top);
  for (; size > 0; size -= BLOCK, scales += 2) {
    const bits = <u32>load<u16>(scales);
    // The sign, or the exponent of infinities and NaN.
    if (bits & 0x8000 || (bits & 0x7c00) == 0x7c00) return 1;
    const scale = scaleOf(bits);
    const four = f32x4.splat(scale);
    let any = i32x4.splat(0);
    let count = min(size, BLOCK);
    for (; count >= 4; count -= 4, levels += 4, sums += 32) {
      const q = i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(levels)));
      any = v128.or(any, q);
      // A level times an f16 is exact, so the quotient is the only rounding.
      const x = f32x4.mul(f32x4.convert_i32x4_s(q), four);
      addTo(sums, w, top == 1 ? x : f32x4.div(x, tops));
    }
    let some = i32(v128.any_true(any));
    for (; count; count--, levels++, sums += 8) {
      const q = load<i8>(levels);
      some |= <i32>q;
      addOne(sums, weight, <f32>q * scale / <f32>top);
    }
    if (bits == 0 && some) return 1;
  }
  return 0;
}

/** Whether one of `size` levels is -128. */
export function checkInt8(levels: usize, size: i32): i32 {
  const least = i8x16.splat(-128);
  let found = i8x16.splat(0);
  for (; size >= 16; size -= 16, levels += 16) found = v128.or(found, i8x16.eq(v128.load(levels), least));
  let bad = i32(v128.any_true(found));
  for (; size; size--, levels++) bad |= i32(load<i8>(levels) == -128);
  return bad;
}

/** Halves of bytes to signed bytes, the lower half first. Writes up to 15 more than `size`, reads up to 7 bytes more. */
export function unpackInt4(packed: usize, levels: usize, size: i32): i32 {
  const least = i8x16.splat(-8);
  let bad = 0;
  for (; size > 0; size -= 16, packed += 8, levels += 16) {
    const bytes = v128.load64_zero(packed);
    // Each half to the top of a byte and back, so that its sign spreads.
    const low = i8x16.shr_s(i8x16.shl(bytes, 4), 4), high = i8x16.shr_s(bytes, 4);
    const both = i8x16.shuffle(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    v128.store(levels, both);
    const found = i8x16.bitmask(i8x16.eq(both, least));
    bad |= size >= 16 ? found : found & ((1 << size) - 1);
  }
  return i32(bad != 0);
}

/** The five levels of each of 243 bytes, eight bytes a row: where `table` points, 1,944 bytes. */
export function makeTrits(table: usize): void {
  for (let byte = 0; byte < 243; byte++) {
    let digits = byte;
    for (let trit = 0; trit < 8; trit++, digits /= 3) {
      const digit = trit < 5 ? digits % 3 : 0;
      store<i8>(table + (byte << 3) + trit, <i8>(digit == 2 ? -1 : digit));
    }
  }
}

/** Digits to base 3 to signed bytes, from the first of `bytes` bytes on, all five of each. Writes up to 3 more than that. */
export function unpackTernary(packed: usize, levels: usize, bytes: i32, table: usize): i32 {
  let most: u32 = 0;
  for (; bytes; bytes--, packed++, levels += 5) {
    const byte = <u32>load<u8>(packed);
    most = max(most, byte);
    store<u64>(levels, load<u64>(table + (min(byte, 242) << 3)));
  }
  return i32(most > 242);
}

/**
 * `count` bytes of an entropy-coded stream (packages/tensors/src/entropy.ts): `slots` as that makes them, the state where `state` points,
 * which is moved on. Gives how many bytes it read; may look at two more than that.
 */
export function expand(slots: usize, stream: usize, to: usize, count: i32, state: usize): i32 {
  let x = load<u32>(state);
  const begin = stream;
  for (; count; count--, to++) {
    const slot = load<u32>(slots + ((x & 4095) << 2));
    store<u8>(to, slot);
    x = (((slot >> 8) & 4095) + 1) * (x >> 12) + (slot >> 20);
    // None, one or two bytes bring it back to at least 2^23: without a branch, since nothing foretells how many.
    const bits = <u32>(clz(x) - 1) & 24;
    x = (x << bits) | (<u32>bswap(load<u16>(stream)) >> (16 - bits));
    stream += bits >> 3;
  }
  store<u32>(state, x);
  return <i32>(stream - begin);
}

/** to[i] = sums[i] / total as f32. */
export function average(sums: usize, to: usize, size: i32, total: f64): void {
  const t = f64x2.splat(total);
  for (; size >= 2; size -= 2, sums += 16, to += 8)
    v128.store64_lane(to, f32x4.demote_f64x2_zero(f64x2.div(v128.load(sums), t)), 0);
  if (size) store<f32>(to, <f32>(load<f64>(sums) / total));
}
