// Softmax cross-entropy on integer targets, weighted and summed; no one-hot is ever made. Sums of rows in f64.
import { across, exp4, loadPart, log1, storePart } from "./math";
import { endOf, firstOf, leads, LINE, meet } from "./parallel";

/** A symbol from outside must not read beyond its row. */
@inline
function bounded(symbol: i32, count: i32): i32 {
  return max(0, min(symbol, count - 1));
}

/** Bytes of working memory: each row's part of the loss. */
export function crossEntropyScratchBytes(rows: i32): i32 {
  return 8 * rows;
}

/** The loss, summed, and the log of each row's sum of exponentials. A sample's weight is shared evenly by its predictions. */
export function crossEntropy(
  logits: usize, targets: usize, weights: usize, loss: usize, logSums: usize, rows: i32, classes: i32, predictions: i32, scratch: usize,
): void {
  const first = firstOf(rows, LINE), beyond = endOf(rows, LINE);
  logits += <usize>first * (classes << 2);
  for (let row = first; row < beyond; row++, logits += <usize>classes << 2) {
    const end = logits + (classes << 2);
    let top: f32 = -f32.MAX_VALUE;
    for (let at = logits; at < end; at += 4) top = max<f32>(top, load<f32>(at));
    const highest = f32x4.splat(top);
    let sums = f32x4.splat(0), at = logits;
    for (; at + 16 <= end; at += 16) sums = f32x4.add(sums, exp4(f32x4.sub(v128.load(at), highest)));
    let sum = across(sums);
    if (at < end) {
      const e = exp4(f32x4.sub(loadPart(at, classes & 3), highest));
      sum += f32x4.extract_lane(e, 0);
      if ((classes & 3) > 1) sum += f32x4.extract_lane(e, 1);
      if ((classes & 3) > 2) sum += f32x4.extract_lane(e, 2);
    }
    const rest = log1(<f64>sum);
    const target = bounded(load<i32>(targets + (row << 2)), classes);
    store<f32>(logSums + (row << 2), top + <f32>rest);
    const away = rest - (<f64>load<f32>(logits + (target << 2)) - <f64>top);
    store<f64>(scratch + (row << 3), away * <f64>load<f32>(weights + ((row / predictions) << 2)) / <f64>predictions);
  }
  meet();
  if (!leads()) return;
  let total: f64 = 0;
  for (let row = 0; row < rows; row++) total += load<f64>(scratch + (row << 3));
  store<f32>(loss, <f32>total);
}

/** (softmax - one-hot) times the row's weight and the slope `dy` of the loss. */
export function crossEntropyGradient(
  dy: usize, logits: usize, logSums: usize, targets: usize, weights: usize, to: usize, rows: i32, classes: i32, predictions: i32,
): void {
  const slope = load<f32>(dy);
  const first = firstOf(rows, 1), beyond = endOf(rows, 1);
  logits += <usize>first * (classes << 2);
  to += <usize>first * (classes << 2);
  for (let row = first; row < beyond; row++, logits += <usize>classes << 2, to += <usize>classes << 2) {
    const weight: f32 = slope * load<f32>(weights + ((row / predictions) << 2)) / <f32>predictions;
    const scale = f32x4.splat(weight), less = v128.load32_splat(logSums + (row << 2));
    const whole = <usize>(classes & ~3) << 2, left = classes & 3;
    for (let at: usize = 0; at < whole; at += 16) v128.store(to + at, f32x4.mul(exp4(f32x4.sub(v128.load(logits + at), less)), scale));
    if (left) storePart(to + whole, f32x4.mul(exp4(f32x4.sub(loadPart(logits + whole, left), less)), scale), left);
    const own = to + (bounded(load<i32>(targets + (row << 2)), classes) << 2);
    store<f32>(own, load<f32>(own) - weight);
  }
}
