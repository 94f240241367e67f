// Arithmetic, activations and sums against JavaScript's numbers, in every way of broadcasting that is there.
import * as tf from "@tensorflow/tfjs-core";
import { randomStream } from "@weft/tensors";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { gamma, UNIT } from "../../../webgpu/test/rounding.ts";
import { registerWasmBackend } from "../install.ts";

/** Results below the smallest normal number may be 0. */
const SUBNORMAL = 2 ** -126;

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);
const drawn = (shape: readonly number[], seed: number): tf.Tensor => {
  const stream = randomStream(seed, 0);
  return tf.tensor(
    Float32Array.from({ length: sizeOf(shape) }, () => stream.normal()),
    [...shape],
  );
};

/** The value of a tensor at the place of the result's index. */
function at(tensor: tf.Tensor, values: ArrayLike<number>, result: readonly number[], index: number): number {
  let [rest, place, stride] = [index, 0, 1];
  for (let axis = result.length - 1; axis >= 0; axis--) {
    const coordinate = rest % (result[axis] as number);
    rest = Math.floor(rest / (result[axis] as number));
    const own = tensor.shape[axis - result.length + tensor.rank];
    if (own === undefined) continue;
    place += (own === 1 ? 0 : coordinate) * stride;
    stride *= own;
  }
  return values[place] as number;
}

const OPERATIONS = {
  Add: (a: number, b: number) => a + b,
  Sub: (a: number, b: number) => a - b,
  Multiply: (a: number, b: number) => a * b,
};

function checkBinary(shapeA: readonly number[], shapeB: readonly number[]): void {
  const [a, b] = [drawn(shapeA, 3), drawn(shapeB, 4)];
  const [x, y] = [a.dataSync(), b.dataSync()];
  for (const [name, operation] of Object.entries(OPERATIONS)) {
    const result = tf.engine().runKernel(name, { a, b }) as tf.Tensor;
    const values = result.dataSync();
    expect(values).toHaveLength(sizeOf(result.shape));
    for (const [index, value] of values.entries())
      expect(value).toBe(Math.fround(operation(at(a, x, result.shape, index), at(b, y, result.shape, index))));
  }
}

describe("arithmetic", () => {
  beforeAll(async () => {
    await registerWasmBackend();
  });

  it("of equal shapes, with a value, a row, a column or leading axes on either side", () => {
    for (const [a, b] of [
      [[], []],
      [[7], [7]],
      [[5], []],
      [[3, 4, 5], [5]],
      [
        [3, 4, 5],
        [4, 5],
      ],
      [
        [3, 4, 5],
        [3, 4, 1],
      ],
      [
        [3, 4, 5],
        [3, 1, 1],
      ],
      [
        [1, 9],
        [6, 9],
      ],
      [
        [2, 5],
        [2, 1],
      ],
      [
        [5, 5],
        [5, 1],
      ],
    ] as const) {
      checkBinary(a, b);
      checkBinary(b, a);
    }
  });
  it("refuses what it cannot walk evenly, and integers", () => {
    expect(() => checkBinary([2, 3, 4], [2, 1, 4])).toThrow(/No arithmetic/);
    expect(() => tf.engine().runKernel("Add", { a: tf.tensor1d([1], "int32"), b: tf.tensor1d([2], "int32") })).toThrow(/int32/);
  });

  it("sigmoid and tanh stay within their bounds from subnormal to saturated arguments", () => {
    const x = Float32Array.from({ length: 4001 }, (_, index) => Math.sinh((index - 2000) / 180) / 50).map((value, index) =>
      index % 97 === 0 ? value * 1e-30 : value,
    );
    const given = tf.tensor1d(x);
    const sigmoid = tf.sigmoid(given).dataSync();
    const tanh = tf.tanh(given).dataSync();
    for (const [index, value] of x.entries()) {
      const s = 1 / (1 + Math.exp(-value));
      // exp within 3 units and |x| UNIT of argument reduction, a sum and a quotient.
      expect(Math.abs((sigmoid[index] as number) - s), `sigmoid ${value}`).toBeLessThanOrEqual(
        s * UNIT * (8 + 2 * Math.min(100, Math.abs(value))) + SUBNORMAL,
      );
      expect(Math.abs((tanh[index] as number) - Math.tanh(value)), `tanh ${value}`).toBeLessThanOrEqual(
        Math.abs(Math.tanh(value)) * UNIT * 16 + SUBNORMAL,
      );
    }
    expect([...tf.sigmoid([Number.NaN, -1e30, 1e30]).dataSync()]).toEqual([Number.NaN, 0, 1]);
    expect([...tf.tanh([Number.NaN, -1e30, 1e30]).dataSync()]).toEqual([Number.NaN, -1, 1]);
  });
  it("ReLU and its step, NaN included in the first", () => {
    const x = tf.tensor1d([-2, -0, 0, 3, Number.NaN, 1e-40, Number.NEGATIVE_INFINITY]);
    expect([...tf.relu(x).dataSync()].map((value) => value + 0)).toEqual([0, 0, 0, 3, Number.NaN, Math.fround(1e-40), 0]);
    expect([...tf.step(x).dataSync()]).toEqual([0, 0, 0, 1, 0, 1, 0]);
  });

  it("sums over leading, middle, trailing and all axes", () => {
    const shapes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(shapes, fc.nat(3), fc.nat(3), (shape, from, count) => {
        const first = from % shape.length;
        const axes = shape.map((_, axis) => axis).filter((axis) => axis >= first && axis <= first + count);
        const x = drawn(shape, 9);
        const values = x.dataSync();
        const result = tf.sum(x, axes).dataSync();
        const kept = shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
        const [sums, sizes] = [new Float64Array(result.length), new Float64Array(result.length)];
        for (const [index, value] of values.entries()) {
          let [rest, place, stride] = [index, 0, 1];
          for (let axis = shape.length - 1; axis >= 0; axis--) {
            place += kept[axis] === 1 ? 0 : (rest % (shape[axis] as number)) * stride;
            stride *= kept[axis] as number;
            rest = Math.floor(rest / (shape[axis] as number));
          }
          sums[place] = (sums[place] as number) + value;
          sizes[place] = (sizes[place] as number) + Math.abs(value);
        }
        const terms = values.length / result.length;
        for (const [index, value] of result.entries())
          expect(Math.abs(value - (sums[index] as number))).toBeLessThanOrEqual(gamma(terms) * (sizes[index] as number));
      }),
      { numRuns: 60 },
    );
  });
  it("refuses a sum over axes that are not neighbours", () => {
    expect(() => tf.sum(tf.ones([2, 3, 4]), [0, 2])).toThrow(/No sum/);
  });
});
