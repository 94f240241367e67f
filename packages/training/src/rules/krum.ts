// Multi-Krum: the updates that lie closest to their neighbours are averaged, the others left out [Blanchard et al. 2017]. With K updates of which
// f = floor(faulty * K) may lie, an update's score is the sum of its K - f - 2 smallest squared distances to others (at least one), and the
// K - f of lowest score count, each with its weight. Equal scores: the earlier one.
import type { AggregationRule } from "./aggregation-rule.ts";
import { combine, eachBlock, gathering } from "./blocks.ts";
import { Gram } from "./gram.ts";

export const krum = (faulty: number): AggregationRule => ({
  start: (size) =>
    gathering(size, (updates, into) => {
      const count = updates.length;
      const liars = Math.floor(faulty * count);
      const gram = new Gram(count);
      const refused = eachBlock(updates, size, (blocks) => gram.add(blocks));
      if (refused !== null) return refused;
      const near = Math.max(1, count - liars - 2);
      const scores = updates.map((_, index) => {
        const distances = updates.flatMap((_other, other) => (other === index ? [] : [gram.squaredDistance(index, other)]));
        return distances
          .sort((a, b) => a - b)
          .slice(0, near)
          .reduce((sum, distance) => sum + distance, 0);
      });
      const best = [...scores.keys()].sort((a, b) => (scores[a] as number) - (scores[b] as number) || a - b).slice(0, count - liars);
      const total = best.reduce((sum, index) => sum + (updates[index]?.weight ?? 0), 0);
      const factors = updates.map(({ weight }, index) => (best.includes(index) ? weight / total : 0));
      return combine(updates, factors, into);
    }),
});
