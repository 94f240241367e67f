// Matrix product C = op(A) op(B), row-major f32, cache-blocked and register-tiled (Goto and van de Geijn, "Anatomy of High-Performance
// Matrix Multiplication", 2008). B goes through panels of 8 columns; A is read where it lies, or, where its columns are its rows, through
// panels of 6 rows. Sums run in the order of the inner index, one block of it after another: the same bits on every machine.
import { endOf, firstOf, LINE, ownScratch } from "./parallel";

/** Rows and columns of C that stay in registers. */
const MR: i32 = 6;
const NR: i32 = 8;
/** Inner extent of a block: a panel of B (8 KiB) and one of A stay in the first cache. */
const KC: i32 = 256;
/** Columns of a block, whose panels stay in the second cache. */
const NC: i32 = 256;

/** What happens to a result: C += instead of C =, then the bias of its column, then ReLU. */
export const ADD: i32 = 1;
export const BIAS: i32 = 2;
export const RELU: i32 = 4;

const TILE_BYTES: usize = MR * NR * 4;
const A_PANEL_BYTES: usize = MR * KC * 4;
const B_BYTES: usize = NC * KC * 4;

/** Bytes of working memory that any product needs. */
export const PRODUCT_BYTES: i32 = <i32>(TILE_BYTES + A_PANEL_BYTES + B_BYTES);

export function matmulScratchBytes(threads: i32): i32 {
  return threads * PRODUCT_BYTES;
}

@inline
function finish(at: usize, offset: usize, value: v128, bias: usize, flags: i32): void {
  let result = value;
  if (flags & ADD) result = f32x4.add(result, v128.load(at + offset));
  if (flags & BIAS) result = f32x4.add(result, v128.load(bias + offset));
  if (flags & RELU) result = f32x4.max(result, f32x4.splat(0));
  v128.store(at + offset, result);
}

/** A tile of C from 6 rows of A, `lda` bytes apart, and a panel of B. */
function tileOfRows(a: usize, lda: usize, b: usize, k: i32, c: usize, ldc: usize, bias: usize, flags: i32): void {
  const zero = f32x4.splat(0);
  let l0 = zero, l1 = zero, l2 = zero, l3 = zero, l4 = zero, l5 = zero;
  let h0 = zero, h1 = zero, h2 = zero, h3 = zero, h4 = zero, h5 = zero;
  let a1 = a + lda, a2 = a1 + lda, a3 = a2 + lda, a4 = a3 + lda, a5 = a4 + lda;
  let low: v128, high: v128, v: v128;
  for (; k >= 2; k -= 2) {
    low = v128.load(b);
    high = v128.load(b, 16);
    v = v128.load32_splat(a); l0 = f32x4.add(l0, f32x4.mul(v, low)); h0 = f32x4.add(h0, f32x4.mul(v, high));
    v = v128.load32_splat(a1); l1 = f32x4.add(l1, f32x4.mul(v, low)); h1 = f32x4.add(h1, f32x4.mul(v, high));
    v = v128.load32_splat(a2); l2 = f32x4.add(l2, f32x4.mul(v, low)); h2 = f32x4.add(h2, f32x4.mul(v, high));
    v = v128.load32_splat(a3); l3 = f32x4.add(l3, f32x4.mul(v, low)); h3 = f32x4.add(h3, f32x4.mul(v, high));
    v = v128.load32_splat(a4); l4 = f32x4.add(l4, f32x4.mul(v, low)); h4 = f32x4.add(h4, f32x4.mul(v, high));
    v = v128.load32_splat(a5); l5 = f32x4.add(l5, f32x4.mul(v, low)); h5 = f32x4.add(h5, f32x4.mul(v, high));
    low = v128.load(b, 32);
    high = v128.load(b, 48);
    v = v128.load32_splat(a, 4); l0 = f32x4.add(l0, f32x4.mul(v, low)); h0 = f32x4.add(h0, f32x4.mul(v, high));
    v = v128.load32_splat(a1, 4); l1 = f32x4.add(l1, f32x4.mul(v, low)); h1 = f32x4.add(h1, f32x4.mul(v, high));
    v = v128.load32_splat(a2, 4); l2 = f32x4.add(l2, f32x4.mul(v, low)); h2 = f32x4.add(h2, f32x4.mul(v, high));
    v = v128.load32_splat(a3, 4); l3 = f32x4.add(l3, f32x4.mul(v, low)); h3 = f32x4.add(h3, f32x4.mul(v, high));
    v = v128.load32_splat(a4, 4); l4 = f32x4.add(l4, f32x4.mul(v, low)); h4 = f32x4.add(h4, f32x4.mul(v, high));
    v = v128.load32_splat(a5, 4); l5 = f32x4.add(l5, f32x4.mul(v, low)); h5 = f32x4.add(h5, f32x4.mul(v, high));
    a += 8; a1 += 8; a2 += 8; a3 += 8; a4 += 8; a5 += 8;
    b += 64;
  }
  if (k) {
    low = v128.load(b);
    high = v128.load(b, 16);
    v = v128.load32_splat(a); l0 = f32x4.add(l0, f32x4.mul(v, low)); h0 = f32x4.add(h0, f32x4.mul(v, high));
    v = v128.load32_splat(a1); l1 = f32x4.add(l1, f32x4.mul(v, low)); h1 = f32x4.add(h1, f32x4.mul(v, high));
    v = v128.load32_splat(a2); l2 = f32x4.add(l2, f32x4.mul(v, low)); h2 = f32x4.add(h2, f32x4.mul(v, high));
    v = v128.load32_splat(a3); l3 = f32x4.add(l3, f32x4.mul(v, low)); h3 = f32x4.add(h3, f32x4.mul(v, high));
    v = v128.load32_splat(a4); l4 = f32x4.add(l4, f32x4.mul(v, low)); h4 = f32x4.add(h4, f32x4.mul(v, high));
    v = v128.load32_splat(a5); l5 = f32x4.add(l5, f32x4.mul(v, low)); h5 = f32x4.add(h5, f32x4.mul(v, high));
  }
  finish(c, 0, l0, bias, flags); finish(c, 16, h0, bias, flags); c += ldc;
  finish(c, 0, l1, bias, flags); finish(c, 16, h1, bias, flags); c += ldc;
  finish(c, 0, l2, bias, flags); finish(c, 16, h2, bias, flags); c += ldc;
  finish(c, 0, l3, bias, flags); finish(c, 16, h3, bias, flags); c += ldc;
  finish(c, 0, l4, bias, flags); finish(c, 16, h4, bias, flags); c += ldc;
  finish(c, 0, l5, bias, flags); finish(c, 16, h5, bias, flags);
}

/** A tile of C from a panel of A, six values after one another for each inner index, and a panel of B. */
function tileOfPanel(a: usize, b: usize, k: i32, c: usize, ldc: usize, bias: usize, flags: i32): void {
  const zero = f32x4.splat(0);
  let l0 = zero, l1 = zero, l2 = zero, l3 = zero, l4 = zero, l5 = zero;
  let h0 = zero, h1 = zero, h2 = zero, h3 = zero, h4 = zero, h5 = zero;
  let low: v128, high: v128, v: v128;
  for (; k; k--) {
    low = v128.load(b);
    high = v128.load(b, 16);
    v = v128.load32_splat(a); l0 = f32x4.add(l0, f32x4.mul(v, low)); h0 = f32x4.add(h0, f32x4.mul(v, high));
    v = v128.load32_splat(a, 4); l1 = f32x4.add(l1, f32x4.mul(v, low)); h1 = f32x4.add(h1, f32x4.mul(v, high));
    v = v128.load32_splat(a, 8); l2 = f32x4.add(l2, f32x4.mul(v, low)); h2 = f32x4.add(h2, f32x4.mul(v, high));
    v = v128.load32_splat(a, 12); l3 = f32x4.add(l3, f32x4.mul(v, low)); h3 = f32x4.add(h3, f32x4.mul(v, high));
    v = v128.load32_splat(a, 16); l4 = f32x4.add(l4, f32x4.mul(v, low)); h4 = f32x4.add(h4, f32x4.mul(v, high));
    v = v128.load32_splat(a, 20); l5 = f32x4.add(l5, f32x4.mul(v, low)); h5 = f32x4.add(h5, f32x4.mul(v, high));
    a += MR * 4;
    b += NR * 4;
  }
  finish(c, 0, l0, bias, flags); finish(c, 16, h0, bias, flags); c += ldc;
  finish(c, 0, l1, bias, flags); finish(c, 16, h1, bias, flags); c += ldc;
  finish(c, 0, l2, bias, flags); finish(c, 16, h2, bias, flags); c += ldc;
  finish(c, 0, l3, bias, flags); finish(c, 16, h3, bias, flags); c += ldc;
  finish(c, 0, l4, bias, flags); finish(c, 16, h4, bias, flags); c += ldc;
  finish(c, 0, l5, bias, flags); finish(c, 16, h5, bias, flags);
}

/** Columns [0, columns) of rows [0, k) of a row-major B as panels; what is missing of the last is 0. */
function packColumns(b: usize, ldb: usize, k: i32, columns: i32, to: usize): void {
  for (let column = 0; column < columns; column += NR) {
    const wide = min(columns - column, NR);
    let from = b + (column << 2);
    for (let row = 0; row < k; row++, from += ldb, to += NR * 4) {
      if (wide == NR) {
        v128.store(to, v128.load(from));
        v128.store(to, v128.load(from, 16), 16);
      } else for (let i = 0; i < NR; i++) store<f32>(to + (i << 2), i < wide ? load<f32>(from + (i << 2)) : 0);
    }
  }
}

/** Four values of each of four rows, turned. */
@inline
function turn(from: usize, stride: usize, to: usize, toStride: usize): void {
  const a = v128.load(from), b = v128.load(from + stride), c = v128.load(from + 2 * stride), d = v128.load(from + 3 * stride);
  const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const ef = v128.shuffle<f32>(a, b, 2, 6, 3, 7), gh = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f32>(ab, cd, 0, 1, 4, 5));
  v128.store(to + toStride, v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
  v128.store(to + 2 * toStride, v128.shuffle<f32>(ef, gh, 0, 1, 4, 5));
  v128.store(to + 3 * toStride, v128.shuffle<f32>(ef, gh, 2, 3, 6, 7));
}

/** The same of a B whose rows are the product's columns. */
function packRows(b: usize, ldb: usize, k: i32, columns: i32, to: usize): void {
  for (let column = 0; column < columns; column += NR) {
    const wide = min(columns - column, NR);
    const from = b + <usize>column * ldb;
    let row = 0;
    if (wide == NR)
      for (; row + 4 <= k; row += 4, to += 4 * NR * 4) {
        turn(from + (row << 2), ldb, to, NR * 4);
        turn(from + 4 * ldb + (row << 2), ldb, to + 16, NR * 4);
      }
    for (; row < k; row++, to += NR * 4)
      for (let i = 0; i < NR; i++) store<f32>(to + (i << 2), i < wide ? load<f32>(from + <usize>i * ldb + (row << 2)) : 0);
  }
}

/** Six rows of op(A), or `rows` of them and zeros, as a panel. `across` and `down` are the bytes to the next inner index and row. */
function packA(a: usize, across: usize, down: usize, k: i32, rows: i32, to: usize): void {
  if (rows == MR && down == 4) {
    for (; k; k--, a += across, to += MR * 4) {
      v128.store(to, v128.load(a));
      store<u64>(to, load<u64>(a, 16), 16);
    }
    return;
  }
  for (; k; k--, a += across, to += MR * 4)
    for (let i = 0; i < MR; i++) store<f32>(to + (i << 2), i < rows ? load<f32>(a + <usize>i * down) : 0);
}

/** The part of a tile that lies within C. */
function finishEdge(tile: usize, c: usize, ldc: usize, rows: i32, columns: i32, bias: usize, flags: i32): void {
  for (let row = 0; row < rows; row++, c += ldc, tile += NR * 4)
    for (let column = 0; column < columns; column++) {
      let value = load<f32>(tile + (column << 2));
      if (flags & ADD) value += load<f32>(c + (column << 2));
      if (flags & BIAS) value += load<f32>(bias + (column << 2));
      if (flags & RELU) value = max<f32>(value, 0);
      store<f32>(c + (column << 2), value);
    }
}

/** C [m, n] from op(A) [m, k] and op(B) [k, n]. `lda`, `ldb` and `ldc` are bytes from row to row as they lie, so that parts of wider
 *  matrices can be multiplied. `scratch` has PRODUCT_BYTES; k is at least 1. The work of one thread. */
export function product(
  a: usize, lda: usize, turnA: bool, b: usize, ldb: usize, turnB: bool, c: usize, ldc: usize,
  m: i32, n: i32, k: i32, bias: usize, flags: i32, scratch: usize,
): void {
  const tile = scratch, panelA = tile + TILE_BYTES, panelsB = panelA + A_PANEL_BYTES;
  const across: usize = turnA ? lda : 4, down: usize = turnA ? 4 : lda;
  for (let column = 0; column < n; column += NC) {
    const columns = min(n - column, NC);
    for (let inner = 0; inner < k; inner += KC) {
      const depth = min(k - inner, KC);
      // The first block may replace what C holds, the last alone is followed by bias and ReLU.
      const flagsNow = (inner == 0 ? flags & ADD : ADD) | (inner + depth == k ? flags & (BIAS | RELU) : 0);
      if (turnB) packRows(b + <usize>column * ldb + (inner << 2), ldb, depth, columns, panelsB);
      else packColumns(b + <usize>inner * ldb + (column << 2), ldb, depth, columns, panelsB);
      for (let row = 0; row < m; row += MR) {
        const rows = min(m - row, MR);
        const strip = a + <usize>row * down + <usize>inner * across;
        const direct = !turnA && rows == MR;
        if (!direct) packA(strip, across, down, depth, rows, panelA);
        let panel = panelsB;
        for (let j = 0; j < columns; j += NR, panel += <usize>depth * (NR * 4)) {
          const at = c + <usize>row * ldc + ((column + j) << 2);
          const own = bias + ((column + j) << 2);
          const whole = rows == MR && columns - j >= NR;
          const to = whole ? at : tile, step = whole ? ldc : NR * 4, then = whole ? flagsNow : 0;
          if (direct) tileOfRows(strip, lda, panel, depth, to, step, own, then);
          else tileOfPanel(panelA, panel, depth, to, step, own, then);
          if (!whole) finishEdge(tile, at, ldc, rows, min(columns - j, NR), own, flagsNow);
        }
      }
    }
  }
}

/** `batch` products of dense matrices; `strideA`, `strideB` are floats from one to the next, 0 where one serves all. Parts are whole
 *  products where there are several, else rows or columns of the result, whichever there are more of: what each part then lays out for
 *  itself of the other factor is small beside its products. */
export function matmul(
  a: usize, b: usize, c: usize, batch: i32, strideA: i32, strideB: i32, m: i32, n: i32, k: i32,
  turnA: bool, turnB: bool, bias: usize, flags: i32, scratch: usize,
): void {
  const lda: usize = (turnA ? m : k) << 2, ldb: usize = (turnB ? k : n) << 2, ldc: usize = n << 2;
  const rest = ownScratch(scratch, PRODUCT_BYTES);
  if (batch > 1) {
    const end = endOf(batch, 1);
    for (let each = firstOf(batch, 1); each < end; each++) {
      const at = <usize>each;
      product(a + at * (strideA << 2), lda, turnA, b + at * (strideB << 2), ldb, turnB, c + at * m * ldc, ldc, m, n, k, bias, flags, rest);
    }
  } else if (m >= n) {
    const from = firstOf(m, MR), rows = endOf(m, MR) - from;
    const down: usize = turnA ? 4 : lda;
    if (rows) product(a + <usize>from * down, lda, turnA, b, ldb, turnB, c + <usize>from * ldc, ldc, rows, n, k, bias, flags, rest);
  } else {
    const from = firstOf(n, LINE), columns = endOf(n, LINE) - from;
    const across: usize = turnB ? ldb : 4, o = <usize>from << 2;
    if (columns) product(a, lda, turnA, b + <usize>from * across, ldb, turnB, c + o, ldc, m, columns, k, bias + o, flags, rest);
  }
}
