import fc from "fast-check";
import { expect, it } from "vitest";
import { aggregateBy, encodedF32 } from "../../test/aggregate.ts";
import { mean } from "./mean.ts";

const aggregate = (updates: readonly (readonly [readonly number[], number])[]): number[] | null => aggregateBy(mean, updates);

it("weighs each update by what it is given", () => {
  expect(
    aggregate([
      [[1, -2], 1],
      [[5, 6], 3],
    ]),
  ).toEqual([4, 4]);
});

it("has no aggregate without any update", () => {
  expect(aggregate([])).toBeNull();
});

it("is the exactly rounded mean for whole weights, whatever the order", () => {
  const one = fc.tuple(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1, max: 1 }), fc.integer({ min: 1, max: 1000 }));
  fc.assert(
    fc.property(fc.array(one, { minLength: 1, maxLength: 20 }), (parts) => {
      // Values on a grid of 2^-20, so that the sum is exact in f64 and the order can make no difference.
      const grid = parts.map(([value, weight]) => [[Math.round(value * 2 ** 20) / 2 ** 20], weight] as const);
      const total = grid.reduce((sum, [, weight]) => sum + weight, 0);
      const exact = Math.fround(grid.reduce((sum, [[value], weight]) => sum + (value as number) * weight, 0) / total);
      expect(aggregate(grid)).toEqual([exact + 0]);
      expect(aggregate(grid.toReversed())).toEqual([exact + 0]);
    }),
  );
});

it("refuses bytes of another size, and a weight that is none", () => {
  const fold = mean.start(2);
  expect(fold.add(encodedF32([1, 2, 3]), 1)).toMatchObject({ ok: false, fault: "wrong-length" });
  for (const weight of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
    expect(() => fold.add(encodedF32([1, 2]), weight)).toThrow(RangeError);
});
