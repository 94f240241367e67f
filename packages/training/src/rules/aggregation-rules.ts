// The aggregation rules by kind. A rule joins by one case here and its own file.
import type { RunSpec } from "@weft/protocol";
import type { AggregationRule } from "./aggregation-rule.ts";
import { mean } from "./mean.ts";

export function aggregationRule(rule: RunSpec["training"]["rule"]): AggregationRule {
  switch (rule.kind) {
    case "mean":
      return mean;
    default:
      return rule.kind satisfies never;
  }
}
