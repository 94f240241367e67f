// The aggregation rules by kind. A rule joins by one case here and its own file.
import type { RuleSpec } from "@weft/protocol";
import type { AggregationRule } from "./aggregation-rule.ts";
import { centeredClip } from "./centered-clip.ts";
import { clippedMean } from "./clipped-mean.ts";
import { krum } from "./krum.ts";
import { mean } from "./mean.ts";
import { trimmedMean } from "./trimmed-mean.ts";

/** `fastMean`: another implementation of the mean, which must give the same bits. */
export function aggregationRule(rule: RuleSpec, fastMean: AggregationRule = mean): AggregationRule {
  switch (rule.kind) {
    case "mean":
      return fastMean;
    case "clipped-mean":
      return clippedMean;
    case "trimmed-mean":
      return trimmedMean(rule.trim);
    case "median":
      return trimmedMean(0.5);
    case "centered-clip":
      return centeredClip;
    case "krum":
      return krum(rule.faulty);
    default:
      throw rule satisfies never;
  }
}
