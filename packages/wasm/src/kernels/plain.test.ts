// Sums and other shapes, against JavaScript's numbers.
import * as tf from "@tensorflow/tfjs-core";
import { randomStream } from "@weft/tensors";
import { beforeAll, describe, expect, it } from "vitest";
import { registerWasmBackend } from "../install.ts";

describe("TensorFlow.js's own operations", () => {
  beforeAll(async () => {
    await registerWasmBackend();
  });
  const drawn = (size: number, seed: number): Float32Array => {
    const stream = randomStream(seed, 0);
    return Float32Array.from({ length: size }, () => stream.normal());
  };

  it("add tensors of equal shapes, every remainder of a vector included", () => {
    for (let size = 0; size < 12; size++) {
      const [a, b] = [drawn(size, 1), drawn(size, 2)];
      expect([...tf.add(tf.tensor1d(a), tf.tensor1d(b)).dataSync()]).toEqual(
        [...a].map((value, index) => Math.fround(value + (b[index] as number))),
      );
    }
    const scalar = tf.add(tf.scalar(2), tf.scalar(3));
    expect([scalar.shape, ...scalar.dataSync()]).toEqual([[], 5]);
  });
  it("refuse to add other shapes and integers", () => {
    expect(() => tf.add(tf.ones([2, 3]), tf.ones([3]))).toThrow(/No sum/);
    expect(() => tf.add(tf.tensor1d([1], "int32"), tf.tensor1d([2], "int32"))).toThrow(/int32/);
  });
  it("keep data that has several shapes until the last is disposed of", () => {
    const x = tf.tensor1d(drawn(6, 3));
    const values = [...x.dataSync()];
    const [matrix, same] = [tf.reshape(x, [2, -1]), tf.clone(x)];
    expect(matrix.shape).toEqual([2, 3]);
    x.dispose();
    expect([...matrix.dataSync(), ...same.dataSync()]).toEqual([...values, ...values]);
    same.dispose();
    expect([...matrix.dataSync()]).toEqual(values);
    const before = tf.memory().numDataBuffers;
    matrix.dispose();
    expect(tf.memory().numDataBuffers).toBe(before - 1);
  });
  it("know no other types", () => {
    expect(() => tf.tensor1d([true, false], "bool")).toThrow(/float32 and int32/);
  });
});
