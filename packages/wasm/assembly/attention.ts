// Causal attention in the flash manner (Dao et al., 2205.14135): no length x length matrix is kept, only the scores of 64 tokens at a time.
// The heads' queries, keys and values are read where the projection left them: nothing is transposed.
import { across, exp4, loadPart, log1, storePart } from "./math";
import { ADD, PRODUCT_BYTES, product } from "./matmul";
import { endOf, firstOf, ownScratch } from "./parallel";

/** Tokens that look, at a time. */
const ROWS: i32 = 64;

function scoreBytes(length: i32): i32 {
  return 2 * min(ROWS, length) * length * 4;
}

/** Bytes of working memory. Parts are whole heads of windows. */
export function attentionScratchBytes(length: i32, threads: i32): i32 {
  return threads * (scoreBytes(length) + PRODUCT_BYTES);
}

/** Softmax of `seen` scores times `scale`, in place; what follows up to `columns` becomes 0. Answers the log of the sum of exponentials. */
function softmax(row: usize, seen: i32, columns: i32, scale: f32): f32 {
  const end = row + (seen << 2);
  let top: f32 = -f32.MAX_VALUE;
  for (let at = row; at < end; at += 4) top = max<f32>(top, load<f32>(at));
  const highest = f32x4.splat(top), factor = f32x4.splat(scale);
  let total = f32x4.splat(0);
  let at = row;
  for (; at + 16 <= end; at += 16) {
    const e = exp4(f32x4.mul(f32x4.sub(v128.load(at), highest), factor));
    v128.store(at, e);
    total = f32x4.add(total, e);
  }
  let sum = across(total);
  if (at < end) {
    storePart(at, exp4(f32x4.mul(f32x4.sub(loadPart(at, seen & 3), highest), factor)), seen & 3);
    for (; at < end; at += 4) sum += load<f32>(at);
  }
  const share = f32x4.splat(1 / sum);
  for (at = row; at + 16 <= end; at += 16) v128.store(at, f32x4.mul(v128.load(at), share));
  if (at < end) storePart(at, f32x4.mul(loadPart(at, seen & 3), share), seen & 3);
  memory.fill(end, 0, <usize>(columns - seen) << 2);
  return top * scale + <f32>log1(<f64>sum);
}

/** `qkv` [windows * length, 3 * heads * depth]: y [windows * length, heads * depth] and the log of each row's sum [windows * length, heads]. */
export function attention(qkv: usize, y: usize, logSums: usize, windows: i32, length: i32, heads: i32, depth: i32, scratch: usize): void {
  const width: usize = <usize>(heads * depth) << 2, triple = 3 * width;
  const scale: f32 = 1 / sqrt<f32>(<f32>depth);
  const scores = ownScratch(scratch, scoreBytes(length) + PRODUCT_BYTES), rest = scores + scoreBytes(length);
  const end = endOf(windows * heads, 1);
  for (let each = firstOf(windows * heads, 1); each < end; each++) {
    const head = each % heads;
    const own = <usize>(head * depth) << 2;
    const first = <usize>((each / heads) * length);
    const queries = qkv + first * triple + own, keys = queries + width, values = keys + width;
    for (let from = 0; from < length; from += ROWS) {
      const rows = min(length - from, ROWS), columns = from + rows;
      const pitch = <usize>columns << 2;
      product(queries + <usize>from * triple, triple, false, keys, triple, true, scores, pitch, rows, columns, depth, 0, 0, rest);
      for (let row = 0; row < rows; row++) {
        const logSum = softmax(scores + <usize>row * pitch, from + row + 1, columns, scale);
        store<f32>(logSums + (((first + from + row) * heads + head) << 2), logSum);
      }
      product(scores, pitch, false, values, triple, false, y + (first + from) * width + own, width, rows, depth, columns, 0, 0, rest);
    }
  }
}

/** One row of P again from its scores and log sum, and of dS = P (dP - D) scale in the place of dP; zeros beyond what the row sees. */
function slopes(p: usize, dp: usize, seen: i32, columns: i32, scale: f32, logSum: f32, along: f32): void {
  const factor = f32x4.splat(scale), less = f32x4.splat(logSum), d = f32x4.splat(along);
  let left = seen;
  for (; left > 0; left -= 4, p += 16, dp += 16) {
    if (left >= 4) {
      const weight = exp4(f32x4.sub(f32x4.mul(v128.load(p), factor), less));
      v128.store(p, weight);
      v128.store(dp, f32x4.mul(f32x4.mul(weight, f32x4.sub(v128.load(dp), d)), factor));
    } else {
      const weight = exp4(f32x4.sub(f32x4.mul(loadPart(p, left), factor), less));
      storePart(p, weight, left);
      storePart(dp, f32x4.mul(f32x4.mul(weight, f32x4.sub(loadPart(dp, left), d)), factor), left);
    }
  }
  // Now p and dp are past the last whole vector: back by what it had too many.
  const beyond = (columns - seen) << 2;
  memory.fill(p + (left << 2), 0, beyond);
  memory.fill(dp + (left << 2), 0, beyond);
}

function dot(a: usize, b: usize, size: i32): f32 {
  let total = f32x4.splat(0);
  for (; size >= 4; size -= 4, a += 16, b += 16) total = f32x4.add(total, f32x4.mul(v128.load(a), v128.load(b)));
  if (size) total = f32x4.add(total, f32x4.mul(loadPart(a, size), loadPart(b, size)));
  return across(total);
}

/** dS = P (dP - rowsum(dO O)); dQ = scale dS K, dK = scale dS^T Q, dV = P^T dO. */
export function attentionGradient(
  dy: usize, y: usize, qkv: usize, logSums: usize, to: usize, windows: i32, length: i32, heads: i32, depth: i32, scratch: usize,
): void {
  const width: usize = <usize>(heads * depth) << 2, triple = 3 * width;
  const scale: f32 = 1 / sqrt<f32>(<f32>depth);
  const p = ownScratch(scratch, scoreBytes(length) + PRODUCT_BYTES), dp = p + scoreBytes(length) / 2, rest = p + scoreBytes(length);
  const size: usize = depth << 2;
  const end = endOf(windows * heads, 1);
  for (let each = firstOf(windows * heads, 1); each < end; each++) {
    const head = each % heads;
    const own = <usize>(head * depth) << 2;
    const first = <usize>((each / heads) * length);
    const queries = qkv + first * triple + own, keys = queries + width, values = keys + width;
    const dQueries = to + first * triple + own, dKeys = dQueries + width, dValues = dKeys + width;
    for (let row = 0; row < length; row++) {
      memory.fill(dKeys + <usize>row * triple, 0, size);
      memory.fill(dValues + <usize>row * triple, 0, size);
    }
    for (let from = 0; from < length; from += ROWS) {
      const rows = min(length - from, ROWS), columns = from + rows;
      const pitch = <usize>columns << 2;
      const looking = queries + <usize>from * triple, slope = dy + (first + from) * width + own, result = y + (first + from) * width + own;
      product(looking, triple, false, keys, triple, true, p, pitch, rows, columns, depth, 0, 0, rest);
      product(slope, width, false, values, triple, true, dp, pitch, rows, columns, depth, 0, 0, rest);
      for (let row = 0; row < rows; row++) {
        const at = <usize>row * width;
        const logSum = load<f32>(logSums + (((first + from + row) * heads + head) << 2));
        slopes(p + <usize>row * pitch, dp + <usize>row * pitch, from + row + 1, columns, scale, logSum, dot(slope + at, result + at, depth));
      }
      product(dp, pitch, false, keys, triple, false, dQueries + <usize>from * triple, triple, rows, depth, columns, 0, 0, rest);
      product(dp, pitch, true, looking, triple, false, dKeys, triple, columns, depth, rows, 0, ADD, rest);
      product(p, pitch, true, slope, width, false, dValues, triple, columns, depth, rows, 0, ADD, rest);
    }
  }
}
