// Arithmetic value by value, and sums of columns.
import { exp4, loadPart, storePart, tanh4 } from "./math";
import { endOf, firstOf, LINE } from "./parallel";

function addAll(a: usize, b: usize, to: usize, size: i32): void {
  for (; size >= 4; size -= 4, a += 16, b += 16, to += 16) v128.store(to, f32x4.add(v128.load(a), v128.load(b)));
  if (size) storePart(to, f32x4.add(loadPart(a, size), loadPart(b, size)), size);
}

export function add(a: usize, b: usize, to: usize, size: i32): void {
  const from = firstOf(size, LINE), o: usize = from << 2;
  addAll(a + o, b + o, to + o, endOf(size, LINE) - from);
}

/** to += x. The work of one thread. */
@inline
export function addRow(x: usize, to: usize, columns: i32): void {
  addAll(x, to, to, columns);
}

/** [rows, columns] to [columns]. */
export function columnSums(x: usize, to: usize, rows: i32, columns: i32): void {
  const pitch = <usize>columns << 2, end = endOf(columns, LINE);
  for (let column = firstOf(columns, LINE); column < end; column += 4) {
    const left = end - column;
    let sum = f32x4.splat(0), at = x + (<usize>column << 2);
    for (let row = 0; row < rows; row++, at += pitch) sum = f32x4.add(sum, left >= 4 ? v128.load(at) : loadPart(at, left));
    if (left >= 4) v128.store(to + (column << 2), sum);
    else storePart(to + (column << 2), sum, left);
  }
}

/** dy where y > 0, else 0: the gradient of ReLU from its result. */
export function reluGradient(dy: usize, y: usize, to: usize, count: i32): void {
  const from = firstOf(count, LINE), o: usize = from << 2;
  let size = endOf(count, LINE) - from;
  dy += o, y += o, to += o;
  for (; size >= 4; size -= 4, dy += 16, y += 16, to += 16)
    v128.store(to, v128.and(v128.load(dy), f32x4.gt(v128.load(y), f32x4.splat(0))));
  if (size) storePart(to, v128.and(loadPart(dy, size), f32x4.gt(loadPart(y, size), f32x4.splat(0))), size);
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
  const from = firstOf(size, LINE), o: usize = from << 2, own = endOf(size, LINE) - from;
  if (exact) geluOf(true, x + o, to + o, own);
  else geluOf(false, x + o, to + o, own);
}

export function geluGradient(exact: bool, dy: usize, x: usize, to: usize, size: i32): void {
  const from = firstOf(size, LINE), o: usize = from << 2, own = endOf(size, LINE) - from;
  if (exact) geluGradientOf(true, dy + o, x + o, to + o, own);
  else geluGradientOf(false, dy + o, x + o, to + o, own);
}
