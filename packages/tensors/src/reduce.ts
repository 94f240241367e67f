// Reductions whose bits are the same everywhere: blocks of 4,096 values in 8 strided f64 lanes, then a fixed tree.
// Lane l of a block takes its values l, l + 8, l + 16, ...; lanes meet as ((0+1)+(2+3))+((4+5)+(6+7)); block sums meet in
// neighbouring pairs, level by level, an odd last one going up as it is. Vector code of 8 lanes can follow the same order.

const BLOCK = 4096;

function tree(sums: Float64Array): number {
  let length = sums.length;
  if (length === 0) return 0;
  while (length > 1) {
    const pairs = length >> 1;
    for (let index = 0; index < pairs; index++) sums[index] = (sums[2 * index] as number) + (sums[2 * index + 1] as number);
    if ((length & 1) === 1) sums[pairs] = sums[length - 1] as number;
    length = pairs + (length & 1);
  }
  return sums[0] as number;
}

const meet = (lanes: Float64Array): number => {
  const [a, b, c, d, e, f, g, h] = lanes as unknown as [number, number, number, number, number, number, number, number];
  return a + b + (c + d) + (e + f + (g + h));
};

/** Sum in f64. */
export function sum(values: Float32Array): number {
  const blocks = new Float64Array(Math.ceil(values.length / BLOCK));
  const lanes = new Float64Array(8);
  for (let block = 0; block < blocks.length; block++) {
    lanes.fill(0);
    const end = Math.min(values.length, (block + 1) * BLOCK);
    for (let at = block * BLOCK; at < end; at++) lanes[at & 7] = (lanes[at & 7] as number) + (values[at] as number);
    blocks[block] = meet(lanes);
  }
  return tree(blocks);
}

/** Sum of the magnitudes in f64. */
export const magnitudeSum = (values: Float32Array): number => sum(values.map(Math.abs));

/** Inner product in f64: products of two f32 are exact there. The lengths must agree. */
export function dot(left: Float32Array, right: Float32Array): number {
  if (left.length !== right.length) throw new RangeError(`lengths differ: ${left.length} and ${right.length}`);
  const blocks = new Float64Array(Math.ceil(left.length / BLOCK));
  for (let block = 0; block < blocks.length; block++)
    blocks[block] = blockDot(left, right, block * BLOCK, Math.min(left.length, (block + 1) * BLOCK));
  return tree(blocks);
}

/** Of the values from `from` to `end`. Lanes are variables here, which engines keep in registers: a long update waits for this. */
function blockDot(left: Float32Array, right: Float32Array, from: number, end: number): number {
  let [a, b, c, d, e, f, g, h] = [0, 0, 0, 0, 0, 0, 0, 0];
  let at = from;
  for (; at + 8 <= end; at += 8) {
    a += (left[at] as number) * (right[at] as number);
    b += (left[at + 1] as number) * (right[at + 1] as number);
    c += (left[at + 2] as number) * (right[at + 2] as number);
    d += (left[at + 3] as number) * (right[at + 3] as number);
    e += (left[at + 4] as number) * (right[at + 4] as number);
    f += (left[at + 5] as number) * (right[at + 5] as number);
    g += (left[at + 6] as number) * (right[at + 6] as number);
    h += (left[at + 7] as number) * (right[at + 7] as number);
  }
  const lanes = Float64Array.of(a, b, c, d, e, f, g, h);
  for (; at < end; at++) lanes[at & 7] = (lanes[at & 7] as number) + (left[at] as number) * (right[at] as number);
  return meet(lanes);
}

/** The norm of values that come block by block, each of 4,096 values but the last: the bits that `norm` gives of all of them. */
export class BlockNorm {
  readonly #sums: Float64Array;
  #blocks = 0;

  /** Of so many values. */
  constructor(size: number) {
    this.#sums = new Float64Array(Math.ceil(size / BLOCK));
  }

  /** False, and then it has no norm, where a value is NaN or infinite: finite ones have squares whose sum f64 can hold. `square`: that sum. */
  add(block: Float32Array, square = squaredNorm(block)): boolean {
    if (this.#blocks >= this.#sums.length || block.length > BLOCK) throw new RangeError("more values than were announced");
    this.#sums[this.#blocks++] = square;
    return Number.isFinite(square);
  }

  /** Once, when all have come. */
  value(): number {
    return Math.sqrt(tree(this.#sums));
  }
}

export const squaredNorm = (values: Float32Array): number => dot(values, values);
/** Euclidean norm in f64. Cannot overflow: the square of the largest f32 is far inside f64. */
export const norm = (values: Float32Array): number => Math.sqrt(squaredNorm(values));

/** True if no value is NaN or infinite, by exponent bits. */
export function allFinite(values: Float32Array): boolean {
  const words = new Int32Array(values.buffer, values.byteOffset, values.length);
  // An exponent of ones, and no other, carries into the sign. A branch for each value would take twice the time.
  for (let from = 0; from < words.length; from += BLOCK) {
    const end = Math.min(words.length, from + BLOCK);
    let carried = 0;
    for (let at = from; at < end; at++) carried |= ((words[at] as number) & 0x7f800000) + 0x00800000;
    if (carried < 0) return false;
  }
  return true;
}

/** Scales `values` in place so that their norm is at most `maxNorm`; returns the norm before. */
export function clipNorm(values: Float32Array, maxNorm: number): number {
  const before = norm(values);
  if (before > maxNorm) {
    const factor = maxNorm / before;
    for (let at = 0; at < values.length; at++) values[at] = (values[at] as number) * factor;
  }
  return before;
}
