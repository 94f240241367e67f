// Layer norm over rows of a matrix (Ba et al., 1607.06450).
import { across, loadPart, storePart } from "./math";
import { endOf, firstOf, LINE } from "./parallel";

/** y, and for the backward pass the mean and the inverse deviation of each row: [rows, 2]. `bias` 0: there is none. */
export function layerNorm(x: usize, gain: usize, bias: usize, y: usize, statistics: usize, count: i32, width: i32, epsilon: f32): void {
  const whole = <usize>(width & ~3) << 2, left = width & 3;
  const first = firstOf(count, 1), skipped = <usize>first * (width << 2);
  x += skipped, y += skipped, statistics += first << 3;
  for (let rows = endOf(count, 1) - first; rows; rows--, statistics += 8) {
    let total = f32x4.splat(0);
    for (let at: usize = 0; at < whole; at += 16) total = f32x4.add(total, v128.load(x + at));
    if (left) total = f32x4.add(total, loadPart(x + whole, left));
    const mean = across(total) / <f32>width;
    const centre = f32x4.splat(mean);
    let squares = f32x4.splat(0);
    for (let at: usize = 0; at < whole; at += 16) {
      const away = f32x4.sub(v128.load(x + at), centre);
      squares = f32x4.add(squares, f32x4.mul(away, away));
    }
    let sum = across(squares);
    for (let at = whole; at < whole + (left << 2); at += 4) {
      const away = load<f32>(x + at) - mean;
      sum += away * away;
    }
    const inverse: f32 = 1 / sqrt<f32>(sum / <f32>width + epsilon);
    store<f32>(statistics, mean);
    store<f32>(statistics, inverse, 4);
    const scale = f32x4.splat(inverse);
    for (let at: usize = 0; at < whole; at += 16) {
      const unit = f32x4.mul(f32x4.sub(v128.load(x + at), centre), scale);
      const scaled = f32x4.mul(unit, v128.load(gain + at));
      v128.store(y + at, bias ? f32x4.add(scaled, v128.load(bias + at)) : scaled);
    }
    if (left) {
      const unit = f32x4.mul(f32x4.sub(loadPart(x + whole, left), centre), scale);
      const scaled = f32x4.mul(unit, loadPart(gain + whole, left));
      storePart(y + whole, bias ? f32x4.add(scaled, loadPart(bias + whole, left)) : scaled, left);
    }
    x += <usize>width << 2;
    y += <usize>width << 2;
  }
}

/** Four columns' slopes of the gain and of the bias, summed over the rows; `left` of them where it is less than four. */
@inline
function columnSlopes(
  dy: usize, x: usize, statistics: usize, dGain: usize, dBias: usize, rows: i32, pitch: usize, left: i32,
): void {
  let gains = f32x4.splat(0), biases = f32x4.splat(0);
  for (; rows; rows--, dy += pitch, x += pitch, statistics += 8) {
    const slope = left >= 4 ? v128.load(dy) : loadPart(dy, left), value = left >= 4 ? v128.load(x) : loadPart(x, left);
    const unit = f32x4.mul(f32x4.sub(value, v128.load32_splat(statistics)), v128.load32_splat(statistics, 4));
    gains = f32x4.add(gains, f32x4.mul(slope, unit));
    biases = f32x4.add(biases, slope);
  }
  if (left >= 4) {
    v128.store(dGain, gains);
    if (dBias) v128.store(dBias, biases);
  } else {
    storePart(dGain, gains, left);
    if (dBias) storePart(dBias, biases, left);
  }
}

/** dx = r (du - mean(du) - u mean(du u)), with u the normalised row, r its inverse deviation and du = dy gain; dGain = sum(dy u),
 *  dBias = sum(dy) over the rows. `dBias` 0: there is none. Parts are columns of the sums and rows of dx. */
export function layerNormGradient(
  dy: usize, x: usize, gain: usize, statistics: usize, dx: usize, dGain: usize, dBias: usize, count: i32, width: i32,
): void {
  const pitch = <usize>width << 2, end = endOf(width, LINE);
  for (let column = firstOf(width, LINE); column < end; column += 4) {
    const o: usize = column << 2;
    columnSlopes(dy + o, x + o, statistics, dGain + o, dBias ? dBias + o : 0, count, pitch, end - column);
  }
  const whole = <usize>(width & ~3) << 2, left = width & 3;
  const first = firstOf(count, 1), skipped = <usize>first * pitch;
  dy += skipped, x += skipped, dx += skipped, statistics += first << 3;
  for (let rows = endOf(count, 1) - first; rows; rows--, statistics += 8) {
    const mean = v128.load32_splat(statistics), inverse = v128.load32_splat(statistics, 4);
    let sum = f32x4.splat(0), along = f32x4.splat(0);
    for (let at: usize = 0; at < whole; at += 16) {
      const unit = f32x4.mul(f32x4.sub(v128.load(x + at), mean), inverse);
      const du = f32x4.mul(v128.load(dy + at), v128.load(gain + at));
      sum = f32x4.add(sum, du);
      along = f32x4.add(along, f32x4.mul(du, unit));
    }
    if (left) {
      const unit = f32x4.mul(f32x4.sub(loadPart(x + whole, left), mean), inverse);
      const du = f32x4.mul(loadPart(dy + whole, left), loadPart(gain + whole, left));
      sum = f32x4.add(sum, du);
      along = f32x4.add(along, f32x4.mul(du, unit));
    }
    const meanSum = f32x4.splat(across(sum) / <f32>width), meanAlong = f32x4.splat(across(along) / <f32>width);
    for (let at: usize = 0; at < whole; at += 16) {
      const unit = f32x4.mul(f32x4.sub(v128.load(x + at), mean), inverse);
      const du = f32x4.mul(v128.load(dy + at), v128.load(gain + at));
      v128.store(dx + at, f32x4.mul(inverse, f32x4.sub(f32x4.sub(du, meanSum), f32x4.mul(unit, meanAlong))));
    }
    if (left) {
      const unit = f32x4.mul(f32x4.sub(loadPart(x + whole, left), mean), inverse);
      const du = f32x4.mul(loadPart(dy + whole, left), loadPart(gain + whole, left));
      storePart(dx + whole, f32x4.mul(inverse, f32x4.sub(f32x4.sub(du, meanSum), f32x4.mul(unit, meanAlong))), left);
    }
    dy += <usize>width << 2;
    x += <usize>width << 2;
    dx += <usize>width << 2;
  }
}
