import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomStream } from "./random.ts";
import { allFinite, BlockNorm, clipNorm, dot, norm, squaredNorm, sum } from "./reduce.ts";

const normals = (size: number, seed = 1): Float32Array => {
  const random = randomStream(seed, 0);
  return Float32Array.from({ length: size }, () => random.normal());
};

/** The order of reduce.ts's first lines, followed literally, one lane and one level at a time. */
function literally(terms: readonly number[]): number {
  let level: number[] = [];
  for (let from = 0; from < terms.length; from += 4096) {
    const block = terms.slice(from, from + 4096);
    const lane = (l: number) => block.filter((_, at) => at % 8 === l).reduce((total, term) => total + term, 0);
    level.push(lane(0) + lane(1) + (lane(2) + lane(3)) + (lane(4) + lane(5) + (lane(6) + lane(7))));
  }
  while (level.length > 1) {
    const next: number[] = [];
    for (let at = 0; at < level.length; at += 2)
      next.push(at + 1 < level.length ? (level[at] as number) + (level[at + 1] as number) : (level[at] as number));
    level = next;
  }
  return level[0] ?? 0;
}

describe("reductions", () => {
  it.each([0, 1, 7, 8, 4095, 4096, 4097, 12_288, 20_481, 70_001])("add %i values in exactly the promised order", (size) => {
    const left = normals(size, 3).map((value, at) => value * 10 ** (at % 9));
    const right = normals(size, 4);
    expect(sum(left)).toBe(literally([...left]));
    expect(dot(left, right)).toBe(literally([...left].map((value, at) => value * (right[at] as number))));
  });

  it("agree with exact arithmetic on whole numbers", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1_000_000, max: 1_000_000 }), { maxLength: 500 }), (values) => {
        expect(sum(Float32Array.from(values))).toBe(values.reduce((total, value) => total + value, 0));
        expect(squaredNorm(Float32Array.from(values))).toBe(values.reduce((total, value) => total + value * value, 0));
      }),
    );
  });

  it("do not depend on where the values lie in memory", () => {
    const values = normals(5000);
    const shelf = new Float32Array(5003);
    shelf.set(values, 3);
    expect(sum(shelf.subarray(3))).toBe(sum(values));
    expect(norm(shelf.subarray(3))).toBe(norm(values));
  });

  it("take the norm of the largest f32 values without overflow", () => {
    expect(norm(new Float32Array(100).fill(3e38))).toBeCloseTo(10 * Math.fround(3e38), -30);
  });

  it("refuse an inner product of different lengths", () => {
    expect(() => dot(new Float32Array(2), new Float32Array(3))).toThrow(RangeError);
  });
});

describe("allFinite", () => {
  it("finds NaN and infinities anywhere, in an offset view too, and takes -0 and subnormals as finite", () => {
    expect(allFinite(Float32Array.of(-0, 1e-45, 3.4e38, -3.4e38))).toBe(true);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const values = new Float32Array(100);
      values[99] = value;
      expect(allFinite(values.subarray(1))).toBe(false);
      expect(allFinite(values.subarray(0, 99))).toBe(true);
      for (const at of [0, 4095, 4096, 9999]) expect(allFinite(new Float32Array(10_000).fill(value, at, at + 1))).toBe(false);
    }
  });
});

describe("clipNorm", () => {
  it("scales to the norm when above it, changes no bit when below, and returns the norm before", () => {
    const values = normals(10_000);
    const before = values.slice();
    expect(clipNorm(values, 1e6)).toBe(norm(before));
    expect(values).toEqual(before);
    expect(clipNorm(values, 2)).toBe(norm(before));
    expect(norm(values)).toBeCloseTo(2, 5);
    expect(dot(values, before) / (norm(values) * norm(before))).toBeCloseTo(1, 6);
  });
});

it("the norm of values that come block by block has the bits of the norm of all of them, and of no more than were announced", () => {
  for (const size of [0, 1, 4095, 4096, 4097, 3 * 4096 + 17, 7 * 4096]) {
    const values = normals(size, size + 1);
    const blocks = new BlockNorm(size);
    for (let from = 0; from < size; from += 4096) expect(blocks.add(values.subarray(from, from + 4096))).toBe(true);
    expect(() => blocks.add(values)).toThrow(RangeError);
    expect(blocks.value()).toBe(norm(values));
  }
});

it("a block whose values are as large as can be has a norm, one with a value that is none has none", () => {
  expect(new BlockNorm(4096).add(new Float32Array(4096).fill(-3.4028234663852886e38))).toBe(true);
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
    for (const at of [0, 2049, 4095]) expect(new BlockNorm(4096).add(normals(4096).fill(value, at, at + 1))).toBe(false);
});
