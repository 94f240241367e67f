import { codecNamed, norm, randomStream } from "@weft/tensors";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { aggregateBy, encodedF32 } from "../../test/aggregate.ts";
import { aggregationRule } from "./aggregation-rules.ts";

const RULES = [
  { kind: "clipped-mean" },
  { kind: "trimmed-mean", trim: 0.2 },
  { kind: "median" },
  { kind: "centered-clip" },
  { kind: "krum", faulty: 0.2 },
] as const;
/** More than one block. */
const SIZE = 4500;
const random = randomStream(17, 0);
const truth = Float32Array.from({ length: SIZE }, () => random.normal());
const honest = (): Float32Array => truth.map((value) => value + 0.3 * random.normal());
const away = (values: readonly number[] | null): number =>
  norm(truth.map((value, at) => value - ((values ?? [])[at] ?? Number.NaN))) / norm(truth);

describe.each(RULES)("the rule $kind", (spec) => {
  const rule = aggregationRule(spec);

  it("comes near the truth with 8 honest updates, and with 2 of 10 that flip the sign and shout", () => {
    const good = Array.from({ length: 8 }, () => [honest(), 10] as const);
    const bad = Array.from({ length: 2 }, () => [honest().map((value) => -10 * value), 10] as const);
    expect(away(aggregateBy(rule, good))).toBeLessThan(0.3);
    expect(away(aggregateBy(rule, [...bad, ...good]))).toBeLessThan(0.45);
    // The plain mean does not: the test can fail.
    expect(away(aggregateBy(aggregationRule({ kind: "mean" }), [...bad, ...good]))).toBeGreaterThan(1);
  });

  it("gives what all of them say where they agree, and what one says where it is alone", () => {
    for (const count of [1, 2, 3, 5])
      expect(
        away(
          aggregateBy(
            rule,
            Array.from({ length: count }, () => [truth, 3] as const),
          ),
        ),
      ).toBeLessThan(1e-6);
  });

  it("stays finite and within the values that came, for each parameter, whatever finite updates come", () => {
    const value = fc.float({ noNaN: true, noDefaultInfinity: true, min: Math.fround(-1e9), max: Math.fround(1e9) });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.array(value, { minLength: 3, maxLength: 3 }), fc.integer({ min: 1, max: 64 })), {
          minLength: 1,
          maxLength: 9,
        }),
        (updates) => {
          const result = aggregateBy(rule, updates) ?? [];
          expect(result).toHaveLength(3);
          const most = Math.max(...updates.flatMap(([values]) => values.map(Math.abs)));
          for (const parameter of result) expect(Math.abs(parameter)).toBeLessThanOrEqual(most * 1.0001);
        },
      ),
    );
  });

  it("folds contributions of any codec by blocks to the bits of their decoded values", () => {
    const updates = ["f32", "int8", "ternary", "f16", "int4"].map((name, lease) => {
      const codec = codecNamed(name);
      const encoded = codec?.encode(honest(), { seed: 1, lease });
      if (codec === undefined || !encoded?.ok) throw new Error("not encoded");
      return { codec, bytes: encoded.bytes };
    });
    const fold = rule.start(SIZE);
    const dense = rule.start(SIZE);
    for (const update of updates) {
      fold.add(update, 2);
      const opened = update.codec.open(update.bytes, SIZE);
      if (!opened.ok) throw new Error(opened.detail);
      const values = new Float32Array(SIZE);
      for (let from = 0; from < SIZE; from += 4096) opened.reader.next(values.subarray(from, from + 4096));
      dense.add(encodedF32(values), 2);
    }
    expect(fold.finish()).toEqual(dense.finish());
  });

  it("says what does not decode instead of a result", () => {
    const fold = rule.start(2);
    fold.add({ ...encodedF32([1, 2]), bytes: new Uint8Array(7) }, 1);
    expect(fold.finish()).toMatchObject({ ok: false, fault: "wrong-length" });
  });
});

it("the trimmed mean leaves out the outermost values of each parameter, whoever gave them", () => {
  const columns = [
    [1, 100],
    [2, -50],
    [3, 1],
    [4, 2],
    [1000, 3],
  ].map((values) => [values, 1] as const);
  expect(aggregateBy(aggregationRule({ kind: "trimmed-mean", trim: 0.2 }), columns)).toEqual([3, 2]);
  expect(aggregateBy(aggregationRule({ kind: "median" }), columns)).toEqual([3, 2]);
  expect(aggregateBy(aggregationRule({ kind: "trimmed-mean", trim: 0 }), columns)).toEqual([202, 11.199999809265137]);
});

it("the clipped mean cuts an update to the median length and no shorter", () => {
  const result = aggregateBy(aggregationRule({ kind: "clipped-mean" }), [
    [[3, 4], 1],
    [[5, 0], 1],
    [[0, 5000], 2],
  ]);
  expect(result).toEqual([2, 3.5]);
});

it("krum averages the updates that lie close together, with their weights", () => {
  const near = [
    [[1, 0], 1],
    [[1, 0.5], 3],
    [[1.25, 0], 1],
    [[1, 0], 1],
  ] as const;
  const result = aggregateBy(aggregationRule({ kind: "krum", faulty: 0.2 }), [...near, [[9, 9], 50]]);
  expect(result?.[0]).toBeCloseTo((1 + 3 + 1.25 + 1) / 6, 6);
  expect(result?.[1]).toBeCloseTo(1.5 / 6, 6);
});
