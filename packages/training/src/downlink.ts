// What is published of the weights that the outer optimiser has stepped (the master weights). With `downlink: "f32"` these themselves. With
// `"int8"` what one int8 delta makes of the weights published before: volunteers who hold those need not fetch a snapshot. What the delta could
// not say stays at the coordinator, which keeps the master weights beside the optimiser's state, and is said by the deltas to come: published
// and master weights never drift apart by more than one delta's rounding.
import type { RunSpec } from "@weft/protocol";
import { deltaStream, deltaTowards } from "@weft/tensors";

export interface Published {
  readonly weights: Float32Array;
  /** From the weights published before to these. */
  readonly delta: Uint8Array | null;
  /** Master weights that must be kept beside these; null where they are the same. */
  readonly kept: Float32Array | null;
}

/** `weights` and `steps`: of the version before. The random stream goes by steps, so that a round that is made again after a roll-back is the same. */
export function published(
  { spec, weights, steps }: { readonly spec: RunSpec; readonly weights: Float32Array; readonly steps: number },
  master: Float32Array,
): Published {
  if (!hasDeltas(spec)) return { weights: master, delta: null, kept: null };
  const made = deltaTowards(weights, master, deltaStream(spec.seed, steps + 1));
  // A change beyond f16 is published whole: rare, and then nothing is left to say.
  if (made === null) return { weights: master, delta: null, kept: master };
  return { weights: made.weights, delta: made.bytes, kept: master };
}

export const hasDeltas = ({ training }: RunSpec): boolean => training.downlink === "int8";
