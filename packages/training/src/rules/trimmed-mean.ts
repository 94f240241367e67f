// For each parameter on its own: the smallest and the largest floor(trim * K) of its K values are left out, and the weighted mean of the others
// is taken [Yin et al. 1803.01498]. With half of them left out at each end only the middle is left: the coordinate median. Where samples are
// equal in value, those of earlier updates come first.
import type { AggregationRule } from "./aggregation-rule.ts";
import { eachBlock, gathering } from "./blocks.ts";

/** `trim` from 0 to 0.5; at most as many are left out as leave one, or the two in the middle. */
export const trimmedMean = (trim: number): AggregationRule => ({
  start: (size) =>
    gathering(size, (updates, into) => {
      const count = updates.length;
      const cut = Math.min(Math.floor(trim * count), (count - 1) >> 1);
      const weights = updates.map(({ weight }) => weight);
      const order = new Uint16Array(count);
      return eachBlock(updates, size, (blocks, from) => {
        const length = (blocks[0] as Float32Array).length;
        for (let at = 0; at < length; at++) {
          // Insertion keeps equal values in the order of their updates; K is some dozens at most.
          for (let index = 0; index < count; index++) {
            const value = (blocks[index] as Float32Array)[at] as number;
            let place = index;
            while (place > 0 && ((blocks[order[place - 1] as number] as Float32Array)[at] as number) > value) {
              order[place] = order[place - 1] as number;
              place -= 1;
            }
            order[place] = index;
          }
          let sum = 0;
          let total = 0;
          for (let place = cut; place < count - cut; place++) {
            const index = order[place] as number;
            sum += (weights[index] as number) * ((blocks[index] as Float32Array)[at] as number);
            total += weights[index] as number;
          }
          into[from + at] = sum / total;
        }
      });
    }),
});
