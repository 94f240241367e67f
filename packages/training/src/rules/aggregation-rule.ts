// How accepted updates become one: the interface that every aggregation rule implements. One file a rule beside this one;
// aggregation-rules.ts finds it by its kind.
import type { RunSpec } from "@weft/protocol";

/** Takes a round's updates one after another, in canonical order; the order is part of the bits. */
export interface Aggregation {
  /** `update` has the round's size and is not kept; `weight` is finite and not negative. */
  add(update: Float32Array, weight: number): void;
  /** The aggregate, or null where no weight was added. Called once. */
  finish(): Float32Array | null;
}
export interface AggregationRule {
  readonly kind: RunSpec["training"]["rule"]["kind"];
  start(size: number): Aggregation;
}
