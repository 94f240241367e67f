// Optimisers over all parameters of a model at once: flat f32 vectors, in place. Formulas of torch.optim.SGD and torch.optim.AdamW,
// clipping of torch.nn.utils.clip_grad_norm_.
import { loadPart, storePart } from "./math";
import { endOf, firstOf, LINE, meet } from "./parallel";

const MAX_F32: f32 = 3.4028234663852886e38;

/** Sum of squares, in f64. */
function squares(x: usize, size: i32): f64 {
  let low = f64x2.splat(0), high = f64x2.splat(0);
  for (; size > 0; size -= 4, x += 16) {
    const four = size >= 4 ? v128.load(x) : loadPart(x, size);
    const a = f64x2.promote_low_f32x4(four), b = f64x2.promote_low_f32x4(v128.shuffle<i64>(four, four, 1, 1));
    low = f64x2.add(low, f64x2.mul(a, a));
    high = f64x2.add(high, f64x2.mul(b, b));
  }
  const sum = f64x2.add(low, high);
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
}

/** The norm is summed in so many stretches, whatever the number of threads, then over the stretches. */
const STRETCHES: i32 = 8;

/** Bytes of working memory. */
export function optimizerScratchBytes(): i32 {
  return 8 * STRETCHES;
}

/** By what gradient sums are multiplied: `scale` makes means of them, whose norm is then held at `limit`, which may be infinite. */
function factorOf(gradients: usize, size: i32, scale: f32, limit: f32, scratch: usize): v128 {
  if (!isFinite<f32>(limit)) return f32x4.splat(scale);
  // Whole lines each, but for the last.
  const each = ((size + STRETCHES * LINE - 1) / (STRETCHES * LINE)) * LINE;
  const end = endOf(STRETCHES, 1);
  for (let stretch = firstOf(STRETCHES, 1); stretch < end; stretch++) {
    const from = min(size, stretch * each);
    store<f64>(scratch + (stretch << 3), squares(gradients + (<usize>from << 2), min(size - from, each)));
  }
  meet();
  let sum: f64 = 0;
  for (let stretch = 0; stretch < STRETCHES; stretch++) sum += load<f64>(scratch + (stretch << 3));
  const length = <f64>scale * Math.sqrt(sum);
  return f32x4.splat(<f32>(<f64>scale * Math.min(1, <f64>limit / (length + 1e-6))));
}

export function sgd(
  weights: usize, gradients: usize, velocity: usize, count: i32,
  learningRate: f32, momentum: f32, decay: f32, scale: f32, limit: f32, scratch: usize,
): void {
  const factor = factorOf(gradients, count, scale, limit, scratch);
  const from = firstOf(count, LINE), o = <usize>from << 2;
  weights += o, gradients += o, velocity += o;
  const rate = f32x4.splat(learningRate), keep = f32x4.splat(momentum), pull = f32x4.splat(decay);
  for (let size = endOf(count, LINE) - from; size > 0; size -= 4, weights += 16, gradients += 16, velocity += 16) {
    const whole = size >= 4;
    const w = whole ? v128.load(weights) : loadPart(weights, size);
    const g = whole ? v128.load(gradients) : loadPart(gradients, size);
    const v = whole ? v128.load(velocity) : loadPart(velocity, size);
    const next = f32x4.add(f32x4.mul(keep, v), f32x4.add(f32x4.mul(factor, g), f32x4.mul(pull, w)));
    const to = f32x4.sub(w, f32x4.mul(rate, next));
    if (whole) {
      v128.store(velocity, next);
      v128.store(weights, to);
    } else {
      storePart(velocity, next, size);
      storePart(weights, to, size);
    }
  }
}

/** `stepSize` = rate / (1 - beta1^t), `correction` = sqrt(1 - beta2^t), `pull` = rate * decay. */
export function adamw(
  weights: usize, gradients: usize, first: usize, second: usize, count: i32,
  pull: f32, stepSize: f32, correction: f32, beta1: f64, beta2: f64, epsilon: f32, scale: f32, limit: f32, scratch: usize,
): void {
  const factor = factorOf(gradients, count, scale, limit, scratch);
  const from = firstOf(count, LINE), o = <usize>from << 2;
  weights += o, gradients += o, first += o, second += o;
  const b1 = f32x4.splat(<f32>beta1), rest1 = f32x4.splat(<f32>(1 - beta1));
  const b2 = f32x4.splat(<f32>beta2), rest2 = f32x4.splat(<f32>(1 - beta2));
  const shrink = f32x4.splat(pull), by = f32x4.splat(stepSize), root = f32x4.splat(correction), least = f32x4.splat(epsilon);
  for (let size = endOf(count, LINE) - from; size > 0; size -= 4, weights += 16, gradients += 16, first += 16, second += 16) {
    const whole = size >= 4;
    const w = whole ? v128.load(weights) : loadPart(weights, size);
    const g = f32x4.mul(factor, whole ? v128.load(gradients) : loadPart(gradients, size));
    const m = f32x4.add(f32x4.mul(b1, whole ? v128.load(first) : loadPart(first, size)), f32x4.mul(rest1, g));
    const v = f32x4.min(
      f32x4.splat(MAX_F32),
      f32x4.add(f32x4.mul(b2, whole ? v128.load(second) : loadPart(second, size)), f32x4.mul(rest2, f32x4.mul(g, g))),
    );
    const to = f32x4.sub(
      f32x4.sub(w, f32x4.mul(shrink, w)),
      f32x4.div(f32x4.mul(by, m), f32x4.add(f32x4.div(f32x4.sqrt(v), root), least)),
    );
    if (whole) {
      v128.store(first, m);
      v128.store(second, v);
      v128.store(weights, to);
    } else {
      storePart(first, m, size);
      storePart(second, v, size);
      storePart(weights, to, size);
    }
  }
}
