// The block of a convolutional network: convolution, ReLU and 2x2 max-pooling, and its gradients. Images NCHW, weights OIHW. Each is a
// product with a band of the image laid out as a matrix, [channels * kernel * kernel, positions], a few rows of the image at a time; what
// pooling drops is never stored. Parts are images.
import { loadPart, storePart } from "./math";
import { ADD, PRODUCT_BYTES, product } from "./matmul";
import { endOf, firstOf, meet, ownScratch } from "./parallel";

/** Values of a band that is laid out, about. */
const BAND: i32 = 1 << 16;

/** Rows of the image in a band: pairs of them, since squares are pooled. */
@inline
function bandRows(window: i32, height: i32, width: i32): i32 {
  return min(height & ~1, max(2, (BAND / (window * (width & ~1))) & ~1));
}

/** The images' share in the gradient of the weight is summed in so many groups, whatever the number of threads, then over the groups. */
const GROUPS: i32 = 8;

/** Bytes of one group's sums: the weight, turned, and behind it the bias. */
@inline
function groupBytes(window: i32, outChannels: i32): i32 {
  return (window + 1) * outChannels * 4;
}

/** Bytes in which one thread works: a band, its results, the weight turned; products. */
function ownBytes(channels: i32, outChannels: i32, kernel: i32, height: i32, width: i32): i32 {
  const window = channels * kernel * kernel, positions = bandRows(window, height, width) * (width & ~1);
  return ((window + outChannels) * positions + window * outChannels) * 4 + PRODUCT_BYTES;
}

/** Bytes of working memory. */
export function convolutionScratchBytes(channels: i32, outChannels: i32, kernel: i32, height: i32, width: i32, threads: i32): i32 {
  return threads * ownBytes(channels, outChannels, kernel, height, width) + GROUPS * groupBytes(channels * kernel * kernel, outChannels);
}

@inline
function copyValues(from: usize, to: usize, size: i32): void {
  for (; size >= 4; size -= 4, from += 16, to += 16) v128.store(to, v128.load(from));
  for (; size > 0; size--, from += 4, to += 4) store<f32>(to, load<f32>(from));
}

@inline
function zeroValues(to: usize, size: i32): void {
  for (; size >= 4; size -= 4, to += 16) v128.store(to, f32x4.splat(0));
  for (; size > 0; size--, to += 4) store<f32>(to, 0);
}

@inline
function addValues(from: usize, to: usize, size: i32): void {
  for (; size >= 4; size -= 4, from += 16, to += 16) v128.store(to, f32x4.add(v128.load(to), v128.load(from)));
  for (; size > 0; size--, from += 4, to += 4) store<f32>(to, load<f32>(to) + load<f32>(from));
}

/** Lays out what `rows` rows of results from `top` on see of an image; or, where `back`, adds each value to the place that it came from.
 *  Beyond the image there are zeros. */
function layOut(back: bool, image: usize, band: usize, channels: i32, kernel: i32, height: i32, width: i32, top: i32, rows: i32): void {
  const pad = kernel >> 1, across = width & ~1;
  for (let channel = 0; channel < channels; channel++, image += <usize>(height * width) << 2)
    for (let ky = 0; ky < kernel; ky++)
      for (let kx = 0; kx < kernel; kx++) {
        const shift = kx - pad;
        const first = min(across, max(0, -shift)), beyond = max(first, min(across, width - shift));
        for (let row = 0; row < rows; row++, band += <usize>across << 2) {
          const y = top + row + ky - pad;
          const outside = y < 0 || y >= height;
          const inside = band + (first << 2), at = image + (<usize>(y * width + first + shift) << 2);
          if (back) {
            if (!outside) addValues(inside, at, beyond - first);
          } else if (outside) zeroValues(band, across);
          else {
            zeroValues(band, first);
            copyValues(at, inside, beyond - first);
            zeroValues(band + (beyond << 2), across - beyond);
          }
        }
      }
}

/** The largest of each square of two rows, plus the bias, through ReLU; and its place, 0 to 3 in reading order, or -1 where ReLU gives 0. */
function poolRows(upper: usize, lower: usize, bias: f32, y: usize, chosen: usize, pooled: i32): void {
  const added = f32x4.splat(bias), zero = f32x4.splat(0);
  for (; pooled > 0; pooled -= 4, upper += 32, lower += 32, y += 16, chosen += 16) {
    let a: v128, b: v128, c: v128, d: v128;
    if (pooled >= 4) {
      a = v128.load(upper), b = v128.load(upper, 16), c = v128.load(lower), d = v128.load(lower, 16);
    } else {
      const left = 2 * pooled;
      a = left >= 4 ? v128.load(upper) : loadPart(upper, left), b = left > 4 ? loadPart(upper + 16, left - 4) : zero;
      c = left >= 4 ? v128.load(lower) : loadPart(lower, left), d = left > 4 ? loadPart(lower + 16, left - 4) : zero;
    }
    let best = v128.shuffle<f32>(a, b, 0, 2, 4, 6), place = zero;
    const second = v128.shuffle<f32>(a, b, 1, 3, 5, 7);
    let larger = f32x4.gt(second, best);
    best = v128.bitselect(second, best, larger);
    place = v128.bitselect(f32x4.splat(1), place, larger);
    const third = v128.shuffle<f32>(c, d, 0, 2, 4, 6);
    larger = f32x4.gt(third, best);
    best = v128.bitselect(third, best, larger);
    place = v128.bitselect(f32x4.splat(2), place, larger);
    const fourth = v128.shuffle<f32>(c, d, 1, 3, 5, 7);
    larger = f32x4.gt(fourth, best);
    best = f32x4.add(v128.bitselect(fourth, best, larger), added);
    place = v128.bitselect(f32x4.splat(3), place, larger);
    place = v128.bitselect(place, f32x4.splat(-1), f32x4.gt(best, zero));
    best = f32x4.max(best, zero);
    if (pooled >= 4) {
      v128.store(y, best);
      v128.store(chosen, place);
    } else {
      storePart(y, best, pooled);
      storePart(chosen, place, pooled);
    }
  }
}

/** x [images, channels, height, width], weight [outChannels, channels, kernel, kernel], bias [outChannels]: y and chosen [images,
 *  outChannels, height / 2, width / 2]. */
export function convolutionBlock(
  x: usize, weight: usize, bias: usize, y: usize, chosen: usize,
  images: i32, channels: i32, outChannels: i32, kernel: i32, height: i32, width: i32, scratch: usize,
): void {
  const window = channels * kernel * kernel, across = width & ~1, down = height & ~1, pooled = across >> 1;
  const band = bandRows(window, height, width), own = ownBytes(channels, outChannels, kernel, height, width);
  const laidOut = ownScratch(scratch, own), sums = laidOut + (<usize>(window * band * across) << 2), rest = laidOut + own - PRODUCT_BYTES;
  const plane = <usize>((down >> 1) * pooled) << 2, size = <usize>(channels * height * width) << 2;
  const end = endOf(images, 1);
  for (let image = firstOf(images, 1); image < end; image++) {
    const from = x + <usize>image * size;
    const first = <usize>(image * outChannels) * plane;
    for (let top = 0; top < down; top += band) {
      const rows = min(band, down - top), pitch: usize = (rows * across) << 2;
      layOut(false, from, laidOut, channels, kernel, height, width, top, rows);
      product(weight, window << 2, false, laidOut, pitch, false, sums, pitch, outChannels, rows * across, window, 0, 0, rest);
      for (let out = 0; out < outChannels; out++) {
        const added = load<f32>(bias + (out << 2));
        for (let row = 0; row < rows; row += 2) {
          const upper = sums + <usize>out * pitch + ((row * across) << 2);
          const at = first + <usize>out * plane + ((((top + row) >> 1) * pooled) << 2);
          poolRows(upper, upper + (across << 2), added, y + at, chosen + at, pooled);
        }
      }
    }
  }
}

/** The slopes of two rows of results from those of their squares: all to the chosen place. Answers their sum. */
function spreadRows(dy: usize, chosen: usize, upper: usize, lower: usize, pooled: i32): f32 {
  let sum: f32 = 0;
  for (; pooled; pooled--, dy += 4, chosen += 4, upper += 8, lower += 8) {
    const slope = load<f32>(dy), place = load<f32>(chosen);
    store<f32>(upper, place == 0 ? slope : 0);
    store<f32>(upper, place == 1 ? slope : 0, 4);
    store<f32>(lower, place == 2 ? slope : 0);
    store<f32>(lower, place == 3 ? slope : 0, 4);
    if (place >= 0) sum += slope;
  }
  return sum;
}

function turn(from: usize, to: usize, rows: i32, columns: i32): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      store<f32>(to + ((column * rows + row) << 2), load<f32>(from + ((row * columns + column) << 2)));
}

/** Gradients of x (`dx` 0: not wanted), of the weight and of the bias. */
export function convolutionBlockGradient(
  dy: usize, x: usize, weight: usize, chosen: usize, dx: usize, dWeight: usize, dBias: usize,
  images: i32, channels: i32, outChannels: i32, kernel: i32, height: i32, width: i32, scratch: usize,
): void {
  const window = channels * kernel * kernel, across = width & ~1, down = height & ~1, pooled = across >> 1;
  const band = bandRows(window, height, width), out: usize = outChannels << 2, own = ownBytes(channels, outChannels, kernel, height, width);
  const sums = scratch, sumBytes = <usize>groupBytes(window, outChannels);
  const laidOut = ownScratch(scratch + GROUPS * sumBytes, own), slopes = laidOut + (<usize>(window * band * across) << 2);
  const turned = slopes + (<usize>(outChannels * band * across) << 2), rest = laidOut + own - PRODUCT_BYTES;
  const plane = <usize>((down >> 1) * pooled) << 2, size = <usize>(channels * height * width) << 2;
  const groups = min(images, GROUPS), endGroup = endOf(groups, 1);
  if (dx) turn(weight, turned, outChannels, window);
  for (let group = firstOf(groups, 1); group < endGroup; group++) {
    const dTurned = sums + <usize>group * sumBytes, dOwnBias = dTurned + <usize>window * out;
    const end = <i32>((<i64>images * (group + 1)) / groups);
    memory.fill(dTurned, 0, sumBytes);
    for (let image = <i32>((<i64>images * group) / groups); image < end; image++) {
      const first = <usize>(image * outChannels) * plane, from = x + <usize>image * size;
      if (dx) memory.fill(dx + <usize>image * size, 0, size);
      for (let top = 0; top < down; top += band) {
        const rows = min(band, down - top), positions = rows * across, pitch: usize = positions << 2;
        for (let channel = 0; channel < outChannels; channel++) {
          let sum: f32 = 0;
          for (let row = 0; row < rows; row += 2) {
            const at = first + <usize>channel * plane + ((((top + row) >> 1) * pooled) << 2);
            const upper = slopes + <usize>channel * pitch + ((row * across) << 2);
            sum += spreadRows(dy + at, chosen + at, upper, upper + (across << 2), pooled);
          }
          store<f32>(dOwnBias + (channel << 2), load<f32>(dOwnBias + (channel << 2)) + sum);
        }
        layOut(false, from, laidOut, channels, kernel, height, width, top, rows);
        product(laidOut, pitch, false, slopes, pitch, true, dTurned, out, window, outChannels, positions, 0, ADD, rest);
        if (!dx) continue;
        product(turned, out, false, slopes, pitch, false, laidOut, pitch, window, positions, outChannels, 0, 0, rest);
        layOut(true, dx + <usize>image * size, laidOut, channels, kernel, height, width, top, rows);
      }
    }
  }
  meet();
  // Row by row of the weight, turned; the row behind them is the bias.
  const end = endOf(window + 1, 1);
  for (let row = firstOf(window + 1, 1); row < end; row++) {
    const total = sums + <usize>row * out;
    for (let group = 1; group < groups; group++) addValues(total + <usize>group * sumBytes, total, outChannels);
    if (row == window) copyValues(total, dBias, outChannels);
    else
      for (let channel = 0; channel < outChannels; channel++)
        store<f32>(dWeight + ((channel * window + row) << 2), load<f32>(total + (channel << 2)));
  }
}
