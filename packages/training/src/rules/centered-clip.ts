// Centered clipping: from the coordinate median the centre moves, at most 20 times, by the weighted mean of the updates' differences from it, each
// cut to the median distance [Karimireddy et al. 2012.10333]. The centre is always a combination of the median and the updates, so the moves
// need their inner products alone: two passes over the bytes, however many moves.
import type { AggregationRule } from "./aggregation-rule.ts";
import { eachBlock, gathering, medianOf } from "./blocks.ts";
import { Gram } from "./gram.ts";

const MOVES = 20;
/** A centre that moves by less than this part of the radius has arrived. */
const ARRIVED = 1e-6;

export const centeredClip: AggregationRule = {
  start: (size) =>
    gathering(size, (updates, into) => {
      const count = updates.length;
      // Vector `count` is the coordinate median; it is kept in `into` between the passes.
      const gram = new Gram(count + 1);
      const column = new Float64Array(count);
      const refused = eachBlock(updates, size, (blocks, from) => {
        const middle = into.subarray(from, from + (blocks[0] as Float32Array).length);
        for (let at = 0; at < middle.length; at++) {
          for (let index = 0; index < count; index++) column[index] = (blocks[index] as Float32Array)[at] as number;
          middle[at] = medianOf(column);
        }
        gram.add([...blocks, middle]);
      });
      if (refused !== null) return refused;
      const total = updates.reduce((sum, { weight }) => sum + weight, 0);
      const weights = updates.map(({ weight }) => weight / total);
      const coefficients = move(gram, weights, count);
      return eachBlock(updates, size, (blocks, from) => {
        const length = (blocks[0] as Float32Array).length;
        for (let at = 0; at < length; at++) {
          let sum = (coefficients[count] as number) * (into[from + at] as number);
          for (let index = 0; index < count; index++)
            sum += (coefficients[index] as number) * ((blocks[index] as Float32Array)[at] as number);
          into[from + at] = sum;
        }
      });
    }),
};

/** The centre's coefficients: of each update, then of the median. */
function move(gram: Gram, weights: readonly number[], count: number): number[] {
  let centre = [...weights.map(() => 0), 1];
  const distances = (): Float64Array => Float64Array.from(weights, (_, index) => Math.sqrt(gram.squaredDistanceFrom(index, centre)));
  const radius = medianOf(distances());
  if (radius === 0) return centre;
  for (let moves = 0; moves < MOVES; moves++) {
    const away = distances();
    const pulls = weights.map((weight, index) => weight * (radius / Math.max(radius, away[index] as number)));
    const pulled = pulls.reduce((sum, pull) => sum + pull, 0);
    const next = centre.map((coefficient, index) => coefficient * (1 - pulled) + (index < count ? (pulls[index] as number) : 0));
    const step = gram.squaredLength(next.map((coefficient, index) => coefficient - (centre[index] as number)));
    centre = next;
    if (Math.sqrt(step) < ARRIVED * radius) break;
  }
  return centre;
}
