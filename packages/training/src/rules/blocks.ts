// Going through many encoded updates side by side, a block of values at a time: what the rules do that need all of a round at once.
// Memory: the encoded bytes, and one block of each.
import { type BlockReader, type CodecRefusal, DECODE_BLOCK } from "@weft/tensors";
import type { Aggregate, Aggregation, EncodedUpdate } from "./aggregation-rule.ts";

export interface Weighed extends EncodedUpdate {
  readonly weight: number;
}

/** Calls `visit` for each block of values, first to last, with that block of every update. Buffers are used again. */
export function eachBlock(
  updates: readonly EncodedUpdate[],
  size: number,
  visit: (blocks: readonly Float32Array[], from: number) => void,
): CodecRefusal | null {
  const readers: BlockReader[] = [];
  for (const { codec, bytes } of updates) {
    const opened = codec.open(bytes, size);
    if (!opened.ok) return opened;
    readers.push(opened.reader);
  }
  const buffers = updates.map(() => new Float32Array(Math.min(size, DECODE_BLOCK)));
  for (let from = 0; from < size; from += DECODE_BLOCK) {
    const length = Math.min(DECODE_BLOCK, size - from);
    const blocks = buffers.map((buffer) => buffer.subarray(0, length));
    for (const [index, reader] of readers.entries()) {
      const refused = reader.next(blocks[index] as Float32Array);
      if (refused !== null) return refused;
    }
    visit(blocks, from);
  }
  return null;
}

/** A rule that sees all updates of a round before it says anything. */
export function gathering(size: number, fold: (updates: readonly Weighed[], into: Float32Array) => CodecRefusal | null): Aggregation {
  const updates: Weighed[] = [];
  return {
    add: (update, weight) => {
      checkWeight(weight);
      updates.push({ ...update, weight });
      return null;
    },
    finish: (): Aggregate => {
      if (updates.length === 0) return { ok: true, aggregate: null };
      const aggregate = new Float32Array(size);
      return fold(updates, aggregate) ?? { ok: true, aggregate };
    },
  };
}

/** sum of factor * update, in the order given, one f64 sum a value. */
export function combine(updates: readonly EncodedUpdate[], factors: readonly number[], into: Float32Array): CodecRefusal | null {
  const sums = new Float64Array(Math.min(into.length, DECODE_BLOCK));
  return eachBlock(updates, into.length, (blocks, from) => {
    sums.fill(0);
    for (const [index, block] of blocks.entries()) {
      const factor = factors[index] as number;
      if (factor === 0) continue;
      for (let at = 0; at < block.length; at++) sums[at] = (sums[at] as number) + factor * (block[at] as number);
    }
    into.set(sums.subarray(0, blocks[0]?.length ?? 0), from);
  });
}

export function checkWeight(weight: number): void {
  if (!(weight > 0 && weight < Number.POSITIVE_INFINITY)) throw new RangeError(`${weight} is no weight`);
}

/** The middle one; of an even number the mean of the two in the middle. Sorts `values` in place. */
export function medianOf(values: Float64Array): number {
  values.sort();
  const half = values.length >> 1;
  return (values.length & 1) === 1 ? (values[half] as number) : ((values[half - 1] as number) + (values[half] as number)) / 2;
}
