// The weighted mean of updates none of which is longer than the round's median length: one that is too long counts with its direction alone.
// Bounds what anybody can do to a round, and keeps honest ones nearly as they are; half or more liars move the median itself.
import type { AggregationRule } from "./aggregation-rule.ts";
import { combine, eachBlock, gathering, medianOf } from "./blocks.ts";

export const clippedMean: AggregationRule = {
  start: (size) =>
    gathering(size, (updates, into) => {
      const squares = new Float64Array(updates.length);
      const refused = eachBlock(updates, size, (blocks) => {
        for (const [index, block] of blocks.entries()) squares[index] = (squares[index] as number) + squaredNormOf(block);
      });
      if (refused !== null) return refused;
      const norms = squares.map(Math.sqrt);
      const most = medianOf(norms.slice());
      const total = updates.reduce((sum, { weight }) => sum + weight, 0);
      const factors = updates.map(({ weight }, index) => {
        const length = norms[index] as number;
        return (weight / total) * (length > most ? most / length : 1);
      });
      return combine(updates, factors, into);
    }),
};

/** Of at most one block, in order. */
function squaredNormOf(block: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < block.length; at++) sum += (block[at] as number) * (block[at] as number);
  return sum;
}
