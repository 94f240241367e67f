// Arithmetic on one or two tensors, value by value.
import { exp4, loadPart, sigmoid4, storePart, tanh4 } from "./math";

export const ADD_OP: i32 = 0;
export const SUBTRACT: i32 = 1;
export const MULTIPLY: i32 = 2;

@inline
function combine(op: i32, a: v128, b: v128): v128 {
  if (op == ADD_OP) return f32x4.add(a, b);
  if (op == SUBTRACT) return f32x4.sub(a, b);
  return f32x4.mul(a, b);
}

@inline
function pairs(op: i32, a: usize, stepA: usize, b: usize, stepB: usize, to: usize, columns: i32): void {
  const evenA = v128.load32_splat(a), evenB = v128.load32_splat(b);
  for (; columns >= 4; columns -= 4, a += stepA << 2, b += stepB << 2, to += 16)
    v128.store(to, combine(op, stepA ? v128.load(a) : evenA, stepB ? v128.load(b) : evenB));
  if (columns)
    storePart(to, combine(op, stepA ? loadPart(a, columns) : evenA, stepB ? loadPart(b, columns) : evenB), columns);
}

/** Rows of a with rows of b. `step` is 4 where values follow one another in a row and 0 where one value serves the row; `stride` the bytes
 *  from row to row, 0 where one row serves all. */
export function binary(
  op: i32, a: usize, stepA: usize, strideA: usize, b: usize, stepB: usize, strideB: usize, to: usize, rows: i32, columns: i32,
): void {
  for (; rows; rows--, a += strideA, b += strideB, to += <usize>columns << 2) {
    if (op == ADD_OP) pairs(ADD_OP, a, stepA, b, stepB, to, columns);
    else if (op == SUBTRACT) pairs(SUBTRACT, a, stepA, b, stepB, to, columns);
    else pairs(MULTIPLY, a, stepA, b, stepB, to, columns);
  }
}

export const RELU_OP: i32 = 0;
export const STEP: i32 = 1;
export const SIGMOID: i32 = 2;
export const TANH: i32 = 3;

@inline
function apply(op: i32, x: v128): v128 {
  const zero = f32x4.splat(0);
  if (op == RELU_OP) return f32x4.max(x, zero);
  if (op == STEP) return v128.and(f32x4.splat(1), f32x4.gt(x, zero));
  return op == SIGMOID ? sigmoid4(x) : tanh4(x);
}

@inline
function each(op: i32, x: usize, to: usize, size: i32): void {
  for (; size >= 4; size -= 4, x += 16, to += 16) v128.store(to, apply(op, v128.load(x)));
  if (size) storePart(to, apply(op, loadPart(x, size)), size);
}

export function unary(op: i32, x: usize, to: usize, size: i32): void {
  if (op == RELU_OP) each(RELU_OP, x, to, size);
  else if (op == STEP) each(STEP, x, to, size);
  else if (op == SIGMOID) each(SIGMOID, x, to, size);
  else each(TANH, x, to, size);
}

/** dy where y > 0, else 0: the gradient of ReLU from its result. */
export function reluGradient(dy: usize, y: usize, to: usize, size: i32): void {
  for (; size >= 4; size -= 4, dy += 16, y += 16, to += 16)
    v128.store(to, v128.and(v128.load(dy), f32x4.gt(v128.load(y), f32x4.splat(0))));
  if (size) storePart(to, v128.and(loadPart(dy, size), f32x4.gt(loadPart(y, size), f32x4.splat(0))), size);
}

/** Sum or largest of `middle` values that lie `inner` apart: [outer, middle, inner] to [outer, inner]. */
export function sum(x: usize, to: usize, outer: i32, middle: i32, inner: i32): void {
  for (; outer; outer--) {
    if (inner == 1) {
      let total = f32x4.splat(0), left = middle;
      for (; left >= 4; left -= 4, x += 16) total = f32x4.add(total, v128.load(x));
      if (left) {
        total = f32x4.add(total, loadPart(x, left));
        x += <usize>left << 2;
      }
      store<f32>(to, f32x4.extract_lane(total, 0) + f32x4.extract_lane(total, 1) + (f32x4.extract_lane(total, 2) + f32x4.extract_lane(total, 3)));
      to += 4;
      continue;
    }
    memory.fill(to, 0, <usize>inner << 2);
    for (let row = 0; row < middle; row++, x += <usize>inner << 2) addRow(x, to, inner);
    to += <usize>inner << 2;
  }
}

/** to += x. */
@inline
export function addRow(x: usize, to: usize, columns: i32): void {
  let at: usize = 0;
  const whole = <usize>(columns & ~3) << 2;
  for (; at < whole; at += 16) v128.store(to + at, f32x4.add(v128.load(to + at), v128.load(x + at)));
  const left = columns & 3;
  if (left) storePart(to + at, f32x4.add(loadPart(to + at, left), loadPart(x + at, left)), left);
}

// GELU (Hendrycks and Gimpel, 1606.08415), exact or by GPT-2's tanh approximation. erf after Abramowitz and Stegun, 7.1.26: absolute
// error below 1.5e-7.
const ROOT: f32 = 0.7978845608028654; // sqrt(2 / pi)
const BEND: f32 = 0.044715;

/** Phi(x) of the normal distribution; `bell` is e^(-x^2 / 2). */
@inline
function phi(x: v128, bell: v128): v128 {
  const z = f32x4.mul(f32x4.abs(x), f32x4.splat(0.7071067811865476));
  const t = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), f32x4.mul(z, f32x4.splat(0.3275911))));
  let p = f32x4.splat(1.061405429);
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-1.453152027));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(1.421413741));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-0.284496736));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.254829592));
  const tail = f32x4.mul(f32x4.mul(f32x4.mul(p, t), bell), f32x4.splat(0.5));
  return v128.bitselect(tail, f32x4.sub(f32x4.splat(1), tail), f32x4.lt(x, f32x4.splat(0)));
}

@inline
function bellOf(x: v128): v128 {
  return exp4(f32x4.mul(f32x4.mul(x, x), f32x4.splat(-0.5)));
}

@inline
function bentOf(x: v128): v128 {
  return tanh4(f32x4.mul(f32x4.mul(x, f32x4.splat(ROOT)), f32x4.add(f32x4.splat(1), f32x4.mul(f32x4.mul(x, x), f32x4.splat(BEND)))));
}

@inline
function gelu4(exact: bool, x: v128): v128 {
  if (exact) return f32x4.mul(x, phi(x, bellOf(x)));
  return f32x4.mul(f32x4.mul(x, f32x4.splat(0.5)), f32x4.add(f32x4.splat(1), bentOf(x)));
}

@inline
function geluSlope4(exact: bool, x: v128): v128 {
  if (exact) {
    const bell = bellOf(x);
    return f32x4.add(phi(x, bell), f32x4.mul(f32x4.mul(x, bell), f32x4.splat(0.3989422804014327)));
  }
  const t = bentOf(x), half = f32x4.splat(0.5);
  const inner = f32x4.mul(f32x4.splat(ROOT), f32x4.add(f32x4.splat(1), f32x4.mul(f32x4.mul(x, x), f32x4.splat(3 * BEND))));
  const bend = f32x4.mul(f32x4.mul(x, f32x4.sub(f32x4.splat(1), f32x4.mul(t, t))), inner);
  return f32x4.mul(half, f32x4.add(f32x4.add(f32x4.splat(1), t), bend));
}

@inline
function geluOf(exact: bool, x: usize, to: usize, size: i32): void {
  for (; size >= 4; size -= 4, x += 16, to += 16) v128.store(to, gelu4(exact, v128.load(x)));
  if (size) storePart(to, gelu4(exact, loadPart(x, size)), size);
}

@inline
function geluGradientOf(exact: bool, dy: usize, x: usize, to: usize, size: i32): void {
  for (; size >= 4; size -= 4, dy += 16, x += 16, to += 16) v128.store(to, f32x4.mul(v128.load(dy), geluSlope4(exact, v128.load(x))));
  if (size) storePart(to, f32x4.mul(loadPart(dy, size), geluSlope4(exact, loadPart(x, size))), size);
}

export function gelu(exact: bool, x: usize, to: usize, size: i32): void {
  if (exact) geluOf(true, x, to, size);
  else geluOf(false, x, to, size);
}

export function geluGradient(exact: bool, dy: usize, x: usize, to: usize, size: i32): void {
  if (exact) geluGradientOf(true, dy, x, to, size);
  else geluGradientOf(false, dy, x, to, size);
}
