// The outer optimisers by kind. One joins by one case here and its own file.
import type { OptimizerSpec, Result } from "@weft/protocol";
import { adamw } from "./adamw.ts";
import type { OuterOptimizer } from "./outer-optimizer.ts";
import { sgd } from "./sgd.ts";

/** `state` of the version before, or null at version 0. Refuses (`damaged`) a state of another optimiser or size. */
export function outerOptimizer(spec: OptimizerSpec, size: number, state: Uint8Array | null): Result<OuterOptimizer> {
  switch (spec.kind) {
    case "sgd":
    case "nesterov":
      return sgd(spec, size, state);
    case "adamw":
      return adamw(spec, size, state);
    default:
      return spec satisfies never;
  }
}
