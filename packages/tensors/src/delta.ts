// A version of the weights as its difference from the one before, in int8: what is sent instead of a whole snapshot to who holds the one before.
// Sums and products of f32 in one order, so that whoever applies a delta comes to the same bits. Knows no versions and no runs.
import { type CodecRefusal, type CodecStream, DECODE_BLOCK } from "./codec.ts";
import { int8 } from "./codecs/int8.ts";
import { allFinite } from "./reduce.ts";

/** Numbers of the random streams of deltas begin here: those of leases are u32, and the two must not meet. */
const FIRST_DELTA_STREAM = 2 ** 32;

/** The random numbers of the delta with which `steps` rounds lie behind the new weights. */
export const deltaStream = (seed: number, steps: number): CodecStream => ({ seed, lease: FIRST_DELTA_STREAM + steps });

/** Bytes of a delta of `size` values. */
export const deltaBytes = (size: number): number => int8.mostBytes(size);

/**
 * The delta from `from` towards `to`, and the weights to which it leads: near `to`, not equal to it. Null where the difference cannot be said
 * so: a value of it is beyond f16, or not finite.
 */
export function deltaTowards(
  from: Float32Array,
  to: Float32Array,
  stream: CodecStream,
): { readonly bytes: Uint8Array; readonly weights: Float32Array } | null {
  const difference = new Float32Array(to.length);
  for (let at = 0; at < to.length; at++) difference[at] = (to[at] as number) - (from[at] as number);
  const encoded = int8.encode(difference, stream);
  if (!encoded.ok) return null;
  const weights = from.slice();
  const refused = applyDelta(weights, encoded.bytes);
  return refused === null && allFinite(weights) ? { bytes: encoded.bytes, weights } : null;
}

/**
 * Adds the delta to the weights in place. Refuses a wrong length before it touches any; after any other refusal the weights are of no use, so
 * give a copy where they are still needed.
 */
export function applyDelta(weights: Float32Array, bytes: Uint8Array): CodecRefusal | null {
  const opened = int8.open(bytes, weights.length);
  if (!opened.ok) return opened;
  const scratch = new Float32Array(Math.min(weights.length, DECODE_BLOCK));
  for (let from = 0; from < weights.length; from += DECODE_BLOCK) {
    const block = scratch.subarray(0, Math.min(DECODE_BLOCK, weights.length - from));
    const refused = opened.reader.next(block);
    if (refused !== null) return refused;
    for (let at = 0; at < block.length; at++) weights[from + at] = (weights[from + at] as number) + (block[at] as number);
  }
  return null;
}
