import { describe, expect, it } from "vitest";
import { applyDelta, deltaBytes, deltaStream, deltaTowards } from "./delta.ts";
import { randomStream } from "./random.ts";
import { norm } from "./reduce.ts";

const SIZE = 5_000;
const normals = (seed: number, scale: number): Float32Array => {
  const random = randomStream(seed, 0, "synthetic");
  return Float32Array.from({ length: SIZE }, () => Math.fround(random.normal() * scale));
};
const minus = (left: Float32Array, right: Float32Array): Float32Array => left.map((at, index) => at - (right[index] as number));
const made = (from: Float32Array, to: Float32Array, steps = 1) => {
  const delta = deltaTowards(from, to, deltaStream(7, steps));
  if (delta === null) throw new Error("no delta");
  return delta;
};

describe("a delta", () => {
  it("leads whoever applies it to the same bits, and takes a quarter of the snapshot", () => {
    const [from, step] = [normals(1, 0.1), normals(2, 0.001)];
    const before = from.slice();
    const to = from.map((at, index) => at + (step[index] as number));
    const { bytes, weights } = made(from, to);
    expect(from).toEqual(before);
    expect(bytes.length).toBe(deltaBytes(SIZE));
    expect(bytes.length).toBeLessThan(SIZE * 1.01);
    const applied = from.slice();
    expect(applyDelta(applied, bytes)).toBeNull();
    expect(applied).toEqual(weights);
    expect(norm(minus(weights, to))).toBeLessThan(0.02 * norm(step));
  });

  it("is right in the mean: what one leaves out, another adds", () => {
    const [from, to] = [new Float32Array(SIZE), normals(3, 0.01)];
    const sum = new Float64Array(SIZE);
    const times = 200;
    for (let steps = 0; steps < times; steps++) {
      const { weights } = made(from, to, steps);
      for (let at = 0; at < SIZE; at++) sum[at] = (sum[at] as number) + (weights[at] as number);
    }
    const one = norm(minus(made(from, to).weights, to));
    const mean = norm(
      minus(
        Float32Array.from(sum, (at) => at / times),
        to,
      ),
    );
    expect(mean).toBeLessThan((2 * one) / Math.sqrt(times));
  });

  it("of one step, followed by others, never leaves the published weights further behind than the last one's rounding", () => {
    const master = normals(4, 0.1);
    let published: Float32Array = master.slice();
    for (let steps = 1; steps <= 50; steps++) {
      const step = normals(100 + steps, 0.001);
      for (let at = 0; at < SIZE; at++) master[at] = (master[at] as number) + (step[at] as number);
      published = made(published, master, steps).weights;
      expect(norm(minus(published, master))).toBeLessThan(0.02 * norm(step));
    }
  });

  it("of a change beyond f16, or to what is not finite, is none", () => {
    const from = new Float32Array(300);
    for (const far of [1e5, Number.POSITIVE_INFINITY, Number.NaN])
      expect(deltaTowards(from, from.slice().fill(far), deltaStream(7, 1))).toBeNull();
  });

  it("of another length is refused before any value changes; so is one with a scale that is not finite, or a level that nobody writes", () => {
    const from = normals(5, 0.1);
    const { bytes } = made(from, normals(6, 0.1));
    for (const wrong of [bytes.subarray(1), new Uint8Array([...bytes, 0]), new Uint8Array(0)]) {
      const kept = from.slice();
      expect(applyDelta(kept, wrong)).toMatchObject({ ok: false, fault: "wrong-length" });
      expect(kept).toEqual(from);
    }
    const infinite = bytes.slice();
    infinite.set([0x00, 0x7c], 0);
    const below = bytes.slice();
    below[bytes.length - 1] = 0x80;
    expect(applyDelta(from.slice(), infinite)).toMatchObject({ ok: false, fault: "not-finite" });
    expect(applyDelta(from.slice(), below)).toMatchObject({ ok: false, fault: "bad-payload" });
  });
});
