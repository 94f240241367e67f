// Recording and replaying: the same numbers as a first run, nothing written where a constant lies, memory that is given back.
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { FixedInputs, registerWasmBackend, Tape, type WasmBackend, WasmMemoryError } from "./index.ts";

describe("a recorded computation", () => {
  let backend: WasmBackend;
  beforeAll(async () => {
    backend = await registerWasmBackend();
  });
  const inputsOf = () => new FixedInputs(backend, { x: { shape: [3, 5], dtype: "float32" } });
  const values = (seed: number): Float32Array => Float32Array.from({ length: 15 }, (_, index) => Math.fround(Math.sin(seed + index)));

  /** Constants before, between and after intermediate results, which are disposed of at once so that their places are taken again. */
  const chain = (x: tf.Tensor): tf.Tensor[] =>
    tf.tidy(() => {
      const moved = tf.tidy(() => tf.add(tf.add(x, tf.tensor2d(values(9), [3, 5])), tf.tensor2d(values(10), [3, 5])));
      const product = tf.matMul(moved as tf.Tensor2D, x as tf.Tensor2D, false, true);
      const last = tf.add(product, tf.tensor2d(values(11).slice(0, 9), [3, 3]));
      return [product, tf.matMul(last as tf.Tensor2D, tf.tensor2d([[2], [3], [5]]))];
    });

  it("gives for new inputs what a first run gives for them", () => {
    const inputs = inputsOf();
    inputs.write({ x: values(1) });
    const tape = Tape.record(backend, () => chain(inputs.tensors.x));
    for (const seed of [2, 3, 1]) {
      inputs.write({ x: values(seed) });
      tape.replay();
      const replayed = tape.read();
      const first = chain(inputs.tensors.x).flatMap((tensor) => [...tensor.dataSync()]);
      expect([...replayed]).toEqual(first);
    }
    tape.dispose();
    inputs.dispose();
  });
  it("gives back all memory when it is disposed of, and takes no more when it is made again", () => {
    const inputs = inputsOf();
    inputs.write({ x: values(4) });
    const before = backend.memory().numBytesUsed;
    const make = () => Tape.record(backend, () => chain(inputs.tensors.x)).dispose();
    make();
    expect(backend.memory().numBytesUsed).toBe(before);
    const { numBytesAllocated } = backend.memory();
    for (let repeat = 0; repeat < 200; repeat++) make();
    expect(backend.memory()).toMatchObject({ numBytesUsed: before, numBytesAllocated });
    inputs.dispose();
  });
  it("refuses to depend on values that are read back, and leaves nothing behind then", () => {
    const inputs = inputsOf();
    const before = { ...tf.memory(), ...backend.memory() };
    const peek = () => Tape.record(backend, () => tf.tidy(() => [tf.scalar(inputs.tensors.x.dataSync()[0] as number)]));
    expect(peek).toThrow(/read back/);
    expect({ ...tf.memory(), ...backend.memory() }).toEqual(before);
    expect(() => Tape.record(backend, () => [tf.scalar(1)]).dispose()).not.toThrow();
    inputs.dispose();
  });
  it("says so where memory is at its end, and leaves nothing behind", () => {
    const before = { ...tf.memory(), ...backend.memory() };
    const large = () => Tape.record(backend, () => tf.tidy(() => [tf.matMul(tf.ones([2 ** 16, 1]), tf.ones([1, 2 ** 15]))]));
    expect(large).toThrow(WasmMemoryError);
    const { numBytesAllocated: _, ...held } = { ...tf.memory(), ...backend.memory() };
    expect(before).toMatchObject(held);
  });
  it("survives the memory's growth: inputs are written and results read where they are", () => {
    const inputs = inputsOf();
    inputs.write({ x: values(5) });
    const tape = Tape.record(backend, () => chain(inputs.tensors.x));
    const before = [...tape.read()];
    const { numBytesAllocated } = backend.memory();
    const large = tf.zeros([numBytesAllocated / 4]);
    expect(backend.memory().numBytesAllocated).toBeGreaterThan(numBytesAllocated);
    inputs.write({ x: values(5) });
    tape.replay();
    expect([...tape.read()]).toEqual(before);
    tf.dispose(large);
    tape.dispose();
    inputs.dispose();
  });
});
