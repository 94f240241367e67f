// The weighted mean, folded over the updates with one f64 sum a parameter: a round of any number of contributions needs the
// memory of one. With whole weights (samples) and f32 updates the products are exact, so the split of a batch into leases
// changes the result by hardly more than the leases' own f32 rounding.
import { DECODE_BLOCK } from "@weft/tensors";
import type { AggregationRule } from "./aggregation-rule.ts";
import { checkWeight } from "./blocks.ts";

export const mean: AggregationRule = {
  start: (size) => {
    const sums = new Float64Array(size);
    const scratch = new Float32Array(Math.min(size, DECODE_BLOCK));
    let total = 0;
    return {
      add: ({ codec, bytes }, weight) => {
        checkWeight(weight);
        const opened = codec.open(bytes, size);
        if (!opened.ok) return opened;
        for (let from = 0; from < size; from += DECODE_BLOCK) {
          const block = scratch.subarray(0, Math.min(DECODE_BLOCK, size - from));
          const refused = opened.reader.next(block);
          if (refused !== null) return refused;
          for (let at = 0; at < block.length; at++) sums[from + at] = (sums[from + at] as number) + weight * (block[at] as number);
        }
        total += weight;
        return null;
      },
      finish: () => {
        if (total === 0) return { ok: true, aggregate: null };
        const aggregate = new Float32Array(size);
        for (let at = 0; at < size; at++) aggregate[at] = (sums[at] as number) / total;
        return { ok: true, aggregate };
      },
    };
  },
};
