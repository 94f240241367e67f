// Layer norm over rows of a matrix (Ba et al., 1607.06450).
import { across, loadPart, storePart } from "./math";

/** y, and for the backward pass the mean and the inverse deviation of each row: [rows, 2]. `bias` 0: there is none. */
export function layerNorm(x: usize, gain: usize, bias: usize, y: usize, statistics: usize, rows: i32, width: i32, epsilon: f32): void {
  const whole = <usize>(width & ~3) << 2, left = width & 3;
  for (; rows; rows--, statistics += 8) {
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

/** dx = r (du - mean(du) - u mean(du u)), with u the normalised row, r its inverse deviation and du = dy gain; dGain = sum(dy u),
 *  dBias = sum(dy) over the rows. `dBias` 0: there is none. */
export function layerNormGradient(
  dy: usize, x: usize, gain: usize, statistics: usize, dx: usize, dGain: usize, dBias: usize, rows: i32, width: i32,
): void {
  const whole = <usize>(width & ~3) << 2, left = width & 3;
  memory.fill(dGain, 0, <usize>width << 2);
  if (dBias) memory.fill(dBias, 0, <usize>width << 2);
  for (; rows; rows--, statistics += 8) {
    const mean = v128.load32_splat(statistics), inverse = v128.load32_splat(statistics, 4);
    let sum = f32x4.splat(0), along = f32x4.splat(0);
    for (let at: usize = 0; at < whole; at += 16) {
      const slope = v128.load(dy + at);
      const unit = f32x4.mul(f32x4.sub(v128.load(x + at), mean), inverse);
      const du = f32x4.mul(slope, v128.load(gain + at));
      v128.store(dGain + at, f32x4.add(v128.load(dGain + at), f32x4.mul(slope, unit)));
      if (dBias) v128.store(dBias + at, f32x4.add(v128.load(dBias + at), slope));
      sum = f32x4.add(sum, du);
      along = f32x4.add(along, f32x4.mul(du, unit));
    }
    if (left) {
      const slope = loadPart(dy + whole, left);
      const unit = f32x4.mul(f32x4.sub(loadPart(x + whole, left), mean), inverse);
      const du = f32x4.mul(slope, loadPart(gain + whole, left));
      storePart(dGain + whole, f32x4.add(loadPart(dGain + whole, left), f32x4.mul(slope, unit)), left);
      if (dBias) storePart(dBias + whole, f32x4.add(loadPart(dBias + whole, left), slope), left);
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
