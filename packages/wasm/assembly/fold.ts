// A module of its own: encoded updates into weighted sums, a block of values at a time, with the bits of the rules' own arithmetic: products
// and sums in f64, in the order of the calls. Sums lie as f64, everything else as it came. Functions that read what somebody sent give 0, or
// 1 for what no encoder writes; then the sums are of no use.

/** Values with one scale. */
const BLOCK: i32 = 256;

@inline
function low(x: v128): v128 {
  return f64x2.promote_low_f32x4(x);
}
@inline
function high(x: v128): v128 {
  return f64x2.promote_low_f32x4(i64x2.shuffle(x, x, 1, 1));
}
@inline
function wholeLow(x: v128): v128 {
  return f64x2.convert_low_i32x4_s(x);
}
@inline
function wholeHigh(x: v128): v128 {
  return f64x2.convert_low_i32x4_s(i64x2.shuffle(x, x, 1, 1));
}
@inline
function addTo(sums: usize, weight: v128, x: v128): void {
  v128.store(sums, f64x2.add(v128.load(sums), f64x2.mul(weight, low(x))));
  v128.store(sums, f64x2.add(v128.load(sums, 16), f64x2.mul(weight, high(x))), 16);
}

@inline
function lanes(x: v128): f64 {
  return f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1);
}

@inline
function addOne(sums: usize, weight: f64, x: f32): void {
  store<f64>(sums, load<f64>(sums) + weight * <f64>x);
}

/**
 * sums[i] += weights[k] * values[k][i], one k after the other: `count` updates, the values of one `stride` bytes behind those of the one
 * before. Gives 1 where a sum is not finite in the end: then a value may not have been.
 */
export function addValues(values: usize, stride: usize, count: i32, weights: usize, sums: usize, size: i32): i32 {
  const end = weights + (<usize>count << 3);
  // 0 times what is finite is 0, times anything else NaN.
  let check = f64x2.splat(0);
  const zero = f64x2.splat(0);
  for (; size >= 8; size -= 8, values += 32, sums += 64) {
    let a = v128.load(sums), b = v128.load(sums, 16), c = v128.load(sums, 32), d = v128.load(sums, 48);
    for (let at = values, weight = weights; weight < end; weight += 8, at += stride) {
      const w = v128.load64_splat(weight), x = v128.load(at), y = v128.load(at, 16);
      a = f64x2.add(a, f64x2.mul(w, low(x)));
      b = f64x2.add(b, f64x2.mul(w, high(x)));
      c = f64x2.add(c, f64x2.mul(w, low(y)));
      d = f64x2.add(d, f64x2.mul(w, high(y)));
    }
    v128.store(sums, a);
    v128.store(sums, b, 16);
    v128.store(sums, c, 32);
    v128.store(sums, d, 48);
    check = f64x2.add(check, f64x2.add(f64x2.add(f64x2.mul(a, zero), f64x2.mul(b, zero)), f64x2.add(f64x2.mul(c, zero), f64x2.mul(d, zero))));
  }
  let last = f64x2.extract_lane(check, 0) + f64x2.extract_lane(check, 1);
  for (; size; size--, values += 4, sums += 8) {
    for (let at = values, weight = weights; weight < end; weight += 8, at += stride) addOne(sums, load<f64>(weight), load<f32>(at));
    last += load<f64>(sums) * 0;
  }
  return i32(last != 0);
}

/**
 * to[i] = (the sum of weights[k] * values[k][i]) / total as f32, with the bits of addValues on sums of 0 and of average. Gives 1 where a sum is
 * not finite. Of values it reads up to 28 bytes beyond `size`, and writes as many.
 */
export function meanValues(values: usize, stride: usize, count: i32, weights: usize, to: usize, size: i32, total: f64): i32 {
  const end = weights + (<usize>count << 3);
  const zero = f64x2.splat(0), t = f64x2.splat(total);
  let check = f64x2.splat(0);
  for (; size > 0; size -= 8, values += 32, to += 32) {
    let a = zero, b = zero, c = zero, d = zero;
    for (let at = values, weight = weights; weight < end; weight += 8, at += stride) {
      const w = v128.load64_splat(weight);
      a = f64x2.add(a, f64x2.mul(w, low(v128.load64_zero(at))));
      b = f64x2.add(b, f64x2.mul(w, low(v128.load64_zero(at, 8))));
      c = f64x2.add(c, f64x2.mul(w, low(v128.load64_zero(at, 16))));
      d = f64x2.add(d, f64x2.mul(w, low(v128.load64_zero(at, 24))));
    }
    check = f64x2.add(check, f64x2.mul(f64x2.add(f64x2.add(a, b), f64x2.add(c, d)), zero));
    v128.store64_lane(to, f32x4.demote_f64x2_zero(f64x2.div(a, t)), 0);
    v128.store64_lane(to, f32x4.demote_f64x2_zero(f64x2.div(b, t)), 0, 8);
    v128.store64_lane(to, f32x4.demote_f64x2_zero(f64x2.div(c, t)), 0, 16);
    v128.store64_lane(to, f32x4.demote_f64x2_zero(f64x2.div(d, t)), 0, 24);
  }
  return i32(f64x2.extract_lane(check, 0) + f64x2.extract_lane(check, 1) != 0);
}

/** Whether one of `size` values is NaN or infinite. */
export function anyNotFinite(values: usize, size: i32): i32 {
  for (; size; size--, values += 4) if ((load<u32>(values) & 0x7f800000) == 0x7f800000) return 1;
  return 0;
}

/** The sum of the squares of a block, in the lanes and the order of @weft/tensors' `squaredNorm`. Reads up to 28 bytes beyond `size`: zeros. */
export function squaredNorm(values: usize, size: i32): f64 {
  let a = f64x2.splat(0), b = f64x2.splat(0), c = f64x2.splat(0), d = f64x2.splat(0);
  for (; size > 0; size -= 8, values += 32) {
    const w = low(v128.load64_zero(values)), x = low(v128.load64_zero(values, 8));
    const y = low(v128.load64_zero(values, 16)), z = low(v128.load64_zero(values, 24));
    a = f64x2.add(a, f64x2.mul(w, w));
    b = f64x2.add(b, f64x2.mul(x, x));
    c = f64x2.add(c, f64x2.mul(y, y));
    d = f64x2.add(d, f64x2.mul(z, z));
  }
  return lanes(a) + lanes(b) + (lanes(c) + lanes(d));
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

/**
 * sums[i] += weights[k] * levels[k][i] * scale[k] of its block, one k after the other, for levels of -1, 0 and 1 and weights of at most f32: of
 * each update levels (signed bytes) and scales (f16) lie `stride` bytes behind those of the one before. At `products` there is room for an f64
 * an update. Reads up to 15 levels beyond `size`, and writes as many sums.
 */
export function addTernary(
  levels: usize,
  scales: usize,
  stride: usize,
  count: i32,
  weights: usize,
  products: usize,
  sums: usize,
  size: i32,
): i32 {
  const end = products + (<usize>count << 3);
  for (; size > 0; size -= BLOCK, scales += 2, levels += BLOCK) {
    const length = min(size, BLOCK);
    for (let k = 0; k < count; k++) {
      const bits = <u32>load<u16>(scales + <usize>k * stride);
      if (bits & 0x8000 || (bits & 0x7c00) == 0x7c00) return 1;
      if (bits == 0 && anyLevel(levels + <usize>k * stride, length)) return 1;
      // A level times the product is exact, as is its being nothing, so the product is the only rounding.
      store<f64>(products + (<usize>k << 3), load<f64>(weights + (<usize>k << 3)) * <f64>scaleOf(bits));
    }
    for (let done = 0; done < length; done += 16, sums += 128) {
      let a = v128.load(sums), b = v128.load(sums, 16), c = v128.load(sums, 32), d = v128.load(sums, 48);
      let e = v128.load(sums, 64), f = v128.load(sums, 80), g = v128.load(sums, 96), h = v128.load(sums, 112);
      for (let at = levels + done, product = products; product < end; product += 8, at += stride) {
        const p = v128.load64_splat(product);
        let x = v128.load_ext<i8>(at), y = i32x4.extend_low_i16x8_s(x);
        a = f64x2.add(a, f64x2.mul(p, wholeLow(y)));
        b = f64x2.add(b, f64x2.mul(p, wholeHigh(y)));
        y = i32x4.extend_high_i16x8_s(x);
        c = f64x2.add(c, f64x2.mul(p, wholeLow(y)));
        d = f64x2.add(d, f64x2.mul(p, wholeHigh(y)));
        x = v128.load_ext<i8>(at, 8);
        y = i32x4.extend_low_i16x8_s(x);
        e = f64x2.add(e, f64x2.mul(p, wholeLow(y)));
        f = f64x2.add(f, f64x2.mul(p, wholeHigh(y)));
        y = i32x4.extend_high_i16x8_s(x);
        g = f64x2.add(g, f64x2.mul(p, wholeLow(y)));
        h = f64x2.add(h, f64x2.mul(p, wholeHigh(y)));
      }
      v128.store(sums, a);
      v128.store(sums, b, 16);
      v128.store(sums, c, 32);
      v128.store(sums, d, 48);
      v128.store(sums, e, 64);
      v128.store(sums, f, 80);
      v128.store(sums, g, 96);
      v128.store(sums, h, 112);
    }
  }
  return 0;
}

function anyLevel(levels: usize, size: i32): i32 {
  for (; size; size--, levels++) if (load<u8>(levels)) return 1;
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

/** Of four entropy-coded streams that are expanded together, from `lanes` on: of each its state and the bytes read, then all that is its own. */
const LANES: usize = 64;
const SHAPES: usize = 4096;
const STREAM: usize = SHAPES + 4 * 256;
const EXPANDED: usize = STREAM + 2 * 16384 + 16;
const LANE: usize = EXPANDED + 16384;

@inline
function stepped(x: u32, shape: u32): u32 {
  return (shape & 0xffff) * (x >> 12) + (x & 4095) - (shape >> 16);
}
/** None, one or two bytes bring a state back to at least 2^23: without a branch, since nothing foretells how many. */
@inline
function wanted(x: u32): u32 {
  return <u32>(clz(x) - 1) & 24;
}
@inline
function refilled(x: u32, stream: usize, bits: u32): u32 {
  const next = ((<u32>load<u8>(stream)) << 8) | <u32>load<u8>(stream, 1);
  return <u32>(((<u64>x << 16) | next) >> (16 - bits));
}

/**
 * `count` bytes of each of four entropy-coded streams (packages/tensors/src/entropy.ts), whose steps do not wait for each other. Each lane has the
 * symbol of each of 4,096 slots, of each symbol how often it occurs and from bit 16 on its first slot, the stream, and room for the bytes. States
 * are moved on; how many bytes were read is put behind each. May look at two more than that.
 */
export function expandFour(lanes: usize, count: i32): void {
  const beginA = lanes + LANES + STREAM, beginB = beginA + LANE, beginC = beginB + LANE, beginD = beginC + LANE;
  let streamA = beginA, streamB = beginB, streamC = beginC, streamD = beginD;
  let a = load<u32>(lanes), b = load<u32>(lanes, 8), c = load<u32>(lanes, 16), d = load<u32>(lanes, 24);
  for (let to = lanes; count; count--, to++) {
    const symbolA = <usize>load<u8>(lanes + (a & 4095), LANES);
    const symbolB = <usize>load<u8>(lanes + (b & 4095), LANES + LANE);
    const symbolC = <usize>load<u8>(lanes + (c & 4095), LANES + 2 * LANE);
    const symbolD = <usize>load<u8>(lanes + (d & 4095), LANES + 3 * LANE);
    store<u8>(to, symbolA, LANES + EXPANDED);
    store<u8>(to, symbolB, LANES + LANE + EXPANDED);
    store<u8>(to, symbolC, LANES + 2 * LANE + EXPANDED);
    store<u8>(to, symbolD, LANES + 3 * LANE + EXPANDED);
    a = stepped(a, load<u32>(lanes + (symbolA << 2), LANES + SHAPES));
    b = stepped(b, load<u32>(lanes + (symbolB << 2), LANES + LANE + SHAPES));
    c = stepped(c, load<u32>(lanes + (symbolC << 2), LANES + 2 * LANE + SHAPES));
    d = stepped(d, load<u32>(lanes + (symbolD << 2), LANES + 3 * LANE + SHAPES));
    const bitsA = wanted(a), bitsB = wanted(b), bitsC = wanted(c), bitsD = wanted(d);
    a = refilled(a, streamA, bitsA);
    b = refilled(b, streamB, bitsB);
    c = refilled(c, streamC, bitsC);
    d = refilled(d, streamD, bitsD);
    streamA += bitsA >> 3;
    streamB += bitsB >> 3;
    streamC += bitsC >> 3;
    streamD += bitsD >> 3;
  }
  store<u32>(lanes, a);
  store<u32>(lanes, <u32>(streamA - beginA), 4);
  store<u32>(lanes, b, 8);
  store<u32>(lanes, <u32>(streamB - beginB), 12);
  store<u32>(lanes, c, 16);
  store<u32>(lanes, <u32>(streamC - beginC), 20);
  store<u32>(lanes, d, 24);
  store<u32>(lanes, <u32>(streamD - beginD), 28);
}

/** to[i] = sums[i] / total as f32. */
export function average(sums: usize, to: usize, size: i32, total: f64): void {
  const t = f64x2.splat(total);
  for (; size >= 2; size -= 2, sums += 16, to += 8)
    v128.store64_lane(to, f32x4.demote_f64x2_zero(f64x2.div(v128.load(sums), t)), 0);
  if (size) store<f32>(to, <f32>(load<f64>(sums) / total));
}
