// The recurrence of an LSTM layer. State is carried transposed, [hidden, rows], so that the recurrent weight is read where it lies and a
// few rows fill a register tile. Gates in the order i, f, g, o; tokens window after window. Parts are ranges of hidden units: each needs the
// whole state of the place before, so that all meet once a place, and there are two states, one that is read and one that is written.
import { loadPart, sigmoid4, storePart, tanh4 } from "./math";
import { PRODUCT_BYTES, product } from "./matmul";
import { endOf, firstOf, LINE, meet, ownScratch } from "./parallel";

/** Bytes that the threads share: two states of four gates, what is multiplied and carried, and the weight turned. */
function sharedBytes(rows: i32, hidden: i32): i32 {
  return (10 * hidden * rows + 4 * hidden * hidden) * 4;
}

/** Bytes of working memory. */
export function lstmScratchBytes(rows: i32, hidden: i32, threads: i32): i32 {
  return sharedBytes(rows, hidden) + threads * PRODUCT_BYTES;
}

@inline
function read(at: usize, left: i32): v128 {
  return left >= 4 ? v128.load(at) : loadPart(at, left);
}

@inline
function write(at: usize, value: v128, left: i32): void {
  if (left >= 4) v128.store(at, value);
  else storePart(at, value, left);
}

/** Up to four values that lie `stride` bytes apart. */
@inline
function gather(at: usize, stride: usize, left: i32): v128 {
  let v = v128.load32_zero(at);
  if (left > 1) v = f32x4.replace_lane(v, 1, load<f32>(at + stride));
  if (left > 2) v = f32x4.replace_lane(v, 2, load<f32>(at + 2 * stride));
  if (left > 3) v = f32x4.replace_lane(v, 3, load<f32>(at + 3 * stride));
  return v;
}

@inline
function scatter(at: usize, stride: usize, v: v128, left: i32): void {
  store<f32>(at, f32x4.extract_lane(v, 0));
  if (left > 1) store<f32>(at + stride, f32x4.extract_lane(v, 1));
  if (left > 2) store<f32>(at + 2 * stride, f32x4.extract_lane(v, 2));
  if (left > 3) store<f32>(at + 3 * stride, f32x4.extract_lane(v, 3));
}

/** projected [rows * length, 4 hidden], recurrent [4 hidden, hidden]: y, previous and cells [rows * length, hidden] and
 *  gates after their activations [rows * length, 4 hidden]. */
export function lstm(
  projected: usize, recurrent: usize, y: usize, previous: usize, cells: usize, gates: usize,
  rows: i32, length: i32, hidden: i32, scratch: usize,
): void {
  const width: usize = hidden << 2, row: usize = rows << 2;
  const states = scratch, sums = states + 2 * width * rows, rest = ownScratch(scratch + sharedBytes(rows, hidden), PRODUCT_BYTES);
  const first = firstOf(hidden, LINE), end = endOf(hidden, LINE), own = end - first;
  for (let t = 0; t < length; t++) {
    const state = states + (t & 1 ? width * rows : 0), earlier = states + (t & 1 ? 0 : width * rows);
    // The gates' rows lie together where the part is all of them.
    const blocks = own == hidden ? 1 : own ? 4 : 0, height = own == hidden ? 4 * hidden : own;
    for (let block = 0; block < blocks; block++) {
      const from = <usize>(block * hidden + first), to = sums + from * row;
      if (t) product(recurrent + from * width, width, false, earlier, row, false, to, row, height, rows, hidden, 0, 0, rest);
      else memory.fill(to, 0, <usize>height * row);
    }
    for (let r = 0; r < rows; r++) {
      const token = <usize>(r * length + t), at = token * width, at4 = token * 4 * width;
      for (let j = first; j < end; j += 4) {
        const left = hidden - j, o: usize = j << 2, place = sums + <usize>j * row + (r << 2);
        const given = projected + at4 + o;
        const i = sigmoid4(f32x4.add(read(given, left), gather(place, row, left)));
        const f = sigmoid4(f32x4.add(read(given + width, left), gather(place + width * rows, row, left)));
        const g = tanh4(f32x4.add(read(given + 2 * width, left), gather(place + 2 * width * rows, row, left)));
        const out = sigmoid4(f32x4.add(read(given + 3 * width, left), gather(place + 3 * width * rows, row, left)));
        const before = t ? read(cells + at - width + o, left) : f32x4.splat(0);
        const c = f32x4.add(f32x4.mul(f, before), f32x4.mul(i, g));
        const h = f32x4.mul(out, tanh4(c));
        write(gates + at4 + o, i, left);
        write(gates + at4 + width + o, f, left);
        write(gates + at4 + 2 * width + o, g, left);
        write(gates + at4 + 3 * width + o, out, left);
        write(cells + at + o, c, left);
        write(y + at + o, h, left);
        if (t == 0) write(previous + at + o, f32x4.splat(0), left);
        if (t + 1 < length) write(previous + at + width + o, h, left);
        scatter(state + <usize>j * row + (r << 2), row, h, left);
      }
    }
    if (t + 1 < length) meet();
  }
}

/** 1 - v^2, exact to a few units also where v is close to 1. */
@inline
function square1(v: v128): v128 {
  return f32x4.mul(f32x4.sub(f32x4.splat(1), v), f32x4.add(f32x4.splat(1), v));
}

/** Back through the places: dh = dy + dz_(t+1) W_h, dc = dh o (1 - tanh(c)^2) + dc_(t+1) f_(t+1), and dz through the activations:
 *  dProjected [rows * length, 4 hidden]. */
export function lstmGradient(
  dy: usize, cells: usize, gates: usize, recurrent: usize, dProjected: usize, rows: i32, length: i32, hidden: i32, scratch: usize,
): void {
  const width: usize = hidden << 2, row: usize = rows << 2, one = f32x4.splat(1);
  const states = scratch, sums = states + 8 * width * rows, carried = sums + width * rows;
  const turned = carried + width * rows, rest = ownScratch(scratch + sharedBytes(rows, hidden), PRODUCT_BYTES);
  const first = firstOf(hidden, LINE), end = endOf(hidden, LINE), own = end - first;
  for (let gate = 0; gate < 4 * hidden; gate++)
    for (let j = first; j < end; j++)
      store<f32>(turned + ((j * 4 * hidden + gate) << 2), load<f32>(recurrent + ((gate * hidden + j) << 2)));
  memory.fill(sums + <usize>first * row, 0, <usize>own * row);
  for (let r = 0; r < rows; r++) memory.fill(carried + <usize>r * width + (first << 2), 0, <usize>own << 2);
  for (let t = length - 1; t >= 0; t--) {
    const slopes = states + (t & 1 ? 4 * width * rows : 0), later = states + (t & 1 ? 0 : 4 * width * rows);
    if (t + 1 < length && own) {
      const from = turned + <usize>first * (4 * width);
      product(from, 4 * width, false, later, row, false, sums + <usize>first * row, row, own, rows, 4 * hidden, 0, 0, rest);
    }
    for (let r = 0; r < rows; r++) {
      const token = <usize>(r * length + t), at = token * width, at4 = token * 4 * width;
      for (let j = first; j < end; j += 4) {
        const left = hidden - j, o: usize = j << 2, place = <usize>j * row + (r << 2);
        const i = read(gates + at4 + o, left), f = read(gates + at4 + width + o, left);
        const g = read(gates + at4 + 2 * width + o, left), out = read(gates + at4 + 3 * width + o, left);
        const bent = tanh4(read(cells + at + o, left));
        const dh = f32x4.add(read(dy + at + o, left), gather(sums + place, row, left));
        const kept = carried + <usize>r * width + o;
        const dc = f32x4.add(f32x4.mul(f32x4.mul(dh, out), square1(bent)), read(kept, left));
        const before = t ? read(cells + at - width + o, left) : f32x4.splat(0);
        const di = f32x4.mul(f32x4.mul(dc, g), f32x4.mul(i, f32x4.sub(one, i)));
        const df = f32x4.mul(f32x4.mul(dc, before), f32x4.mul(f, f32x4.sub(one, f)));
        const dg = f32x4.mul(f32x4.mul(dc, i), square1(g));
        const d = f32x4.mul(f32x4.mul(dh, bent), f32x4.mul(out, f32x4.sub(one, out)));
        write(kept, f32x4.mul(dc, f), left);
        write(dProjected + at4 + o, di, left);
        write(dProjected + at4 + width + o, df, left);
        write(dProjected + at4 + 2 * width + o, dg, left);
        write(dProjected + at4 + 3 * width + o, d, left);
        scatter(slopes + place, row, di, left);
        scatter(slopes + place + width * rows, row, df, left);
        scatter(slopes + place + 2 * width * rows, row, dg, left);
        scatter(slopes + place + 3 * width * rows, row, d, left);
      }
    }
    if (t) meet();
  }
}
