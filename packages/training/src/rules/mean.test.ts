import fc from "fast-check";
import { expect, it } from "vitest";
import { mean } from "./mean.ts";

const aggregate = (updates: readonly (readonly [readonly number[], number])[]): number[] | null => {
  const fold = mean.start(updates[0]?.[0].length ?? 0);
  for (const [update, weight] of updates) fold.add(Float32Array.from(update), weight);
  const result = fold.finish();
  return result === null ? null : [...result];
};

it("weighs each update by what it is given", () => {
  expect(
    aggregate([
      [[1, -2], 1],
      [[5, 6], 3],
    ]),
  ).toEqual([4, 4]);
});

it("leaves out an update of weight 0, and has no aggregate without any weight", () => {
  expect(
    aggregate([
      [[1], 2],
      [[100], 0],
    ]),
  ).toEqual([1]);
  expect(aggregate([[[1], 0]])).toBeNull();
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

it("refuses an update of another size and a weight that is none", () => {
  const fold = mean.start(2);
  expect(() => fold.add(new Float32Array(3), 1)).toThrow(RangeError);
  for (const weight of [-1, Number.NaN, Number.POSITIVE_INFINITY]) expect(() => fold.add(new Float32Array(2), weight)).toThrow(RangeError);
});
