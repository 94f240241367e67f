// The weighted mean, folded over the updates with one f64 sum a parameter: a round of any number of contributions needs the
// memory of one. With whole weights (samples) and f32 updates the products are exact, so the split of a batch into leases
// changes the result by hardly more than the leases' own f32 rounding.
import type { AggregationRule } from "./aggregation-rule.ts";

export const mean: AggregationRule = {
  kind: "mean",
  start: (size) => {
    const sums = new Float64Array(size);
    let total = 0;
    return {
      add: (update, weight) => {
        if (update.length !== size) throw new RangeError(`an update of ${update.length} values in a round of ${size}`);
        if (!(weight >= 0 && weight < Number.POSITIVE_INFINITY)) throw new RangeError(`${weight} is no weight`);
        if (weight === 0) return;
        for (let at = 0; at < size; at++) sums[at] = (sums[at] as number) + weight * (update[at] as number);
        total += weight;
      },
      finish: () => {
        if (total === 0) return null;
        const aggregate = new Float32Array(size);
        for (let at = 0; at < size; at++) aggregate[at] = (sums[at] as number) / total;
        return aggregate;
      },
    };
  },
};
