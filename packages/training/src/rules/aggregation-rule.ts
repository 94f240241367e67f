// How accepted updates become one: the interface that every aggregation rule implements. One file a rule beside this one;
// aggregation-rules.ts finds it by its kind.
import type { Codec, CodecRefusal } from "@weft/tensors";

/** As it came; it is decoded by blocks, so no rule ever holds a dense copy of it. */
export interface EncodedUpdate {
  readonly codec: Codec;
  readonly bytes: Uint8Array;
}
export type Aggregate = { readonly ok: true; readonly aggregate: Float32Array | null } | CodecRefusal;

/** Takes a round's updates one after another, in canonical order; the order is part of the bits. */
export interface Aggregation {
  /** `weight` is finite and above 0. Refuses bytes that do not decode, now or in `finish`. */
  add(update: EncodedUpdate, weight: number): CodecRefusal | null;
  /** The aggregate; null where nothing was added. Called once. */
  finish(): Aggregate;
}
export interface AggregationRule {
  start(size: number): Aggregation;
}
