import { createHash } from "node:crypto";
import type { OptimizerSpec, Result, RunSpec } from "@weft/protocol";
import { codecNamed, f32FromBytes, norm, randomStream } from "@weft/tensors";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { closeRound, type NextVersion, openRound, type RoundContribution } from "./close-round.ts";

const SGD: OptimizerSpec = { kind: "sgd", learningRate: 0.1, momentum: 0.9, weightDecay: 0.01 };
const ADAMW: OptimizerSpec = { kind: "adamw", learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 };
const spec = (optimizer: OptimizerSpec, clip?: number): RunSpec =>
  ({ training: { rule: { kind: "mean" }, optimizer, ...(clip === undefined ? {} : { clipNorm: clip }) } }) as unknown as RunSpec;
const normals = (size: number, seed: number, scale = 1): Float32Array => {
  const random = randomStream(seed, 0, "synthetic");
  return Float32Array.from({ length: size }, () => random.normal() * scale);
};
const value = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(`${result.code}: ${result.message}`);
  return result.value;
};
const encode = (update: Float32Array, codec: string, lease = 0): Uint8Array => {
  const result = codecNamed(codec)?.encode(update, { seed: 1, lease });
  if (!result?.ok) throw new Error("not encoded");
  return result.bytes;
};
const contribution = (update: Float32Array, samples: number, codec = "f32"): RoundContribution => ({
  samples,
  codec,
  bytes: encode(update, codec),
  lossMean: samples / 10,
});
const SIZE = 5000;
const base = (optimizer: OptimizerSpec, clip?: number) => ({
  spec: spec(optimizer, clip),
  weights: normals(SIZE, 1, 0.1),
  steps: 0,
  optimizer: null,
  learningRate: Math.fround(0.01),
});
const distance = (left: Float32Array, right: Float32Array): number =>
  norm(left.map((at, index) => at - (right[index] as number))) / norm(right);

/** Per-sample gradients of a batch, and the contributions of a split of it: each the f32 mean over its own samples. */
const BATCH = 84;
const perSample = Array.from({ length: BATCH }, (_, sample) => normals(SIZE, 1000 + sample));
function split(leases: number): RoundContribution[] {
  const cuts = Array.from({ length: leases + 1 }, (_, index) => Math.round((index * BATCH) / leases));
  return cuts.slice(1).map((to, index) => {
    const from = cuts[index] as number;
    const sum = new Float32Array(SIZE);
    for (const gradient of perSample.slice(from, to))
      for (let at = 0; at < SIZE; at++) sum[at] = (sum[at] as number) + (gradient[at] as number);
    return contribution(
      sum.map((total) => total / (to - from)),
      to - from,
    );
  });
}

describe.each([SGD, ADAMW])("closing a round with $kind", (optimizer) => {
  it("gives the same weights whether the batch came in 1, 3 or 7 leases, over ten versions", () => {
    const run = (leases: number): { weights: Float32Array; step: Float32Array } => {
      const contributions = split(leases);
      let state: Uint8Array | null = null;
      const start = normals(SIZE, 1, 0.1);
      let weights = start;
      for (let version = 0; version < 10; version++) {
        const next: NextVersion = value(closeRound({ ...base(optimizer, 1), weights, optimizer: state }, contributions));
        weights = next.weights;
        state = next.optimizer;
      }
      return { weights, step: weights.map((at, index) => at - (start[index] as number)) };
    };
    const whole = run(1);
    for (const leases of [3, 7]) {
      expect(distance(run(leases).weights, whole.weights)).toBeLessThanOrEqual(1e-5);
      // Stricter: the change itself agrees, not only the weights it is small against.
      expect(distance(run(leases).step, whole.step)).toBeLessThanOrEqual(1e-4);
    }
  });

  it("gives the same bytes for the same inputs, however the bytes lie in memory, and leaves the inputs alone", () => {
    const contributions = split(3);
    const inputs = base(optimizer);
    const before = inputs.weights.slice();
    const once = value(closeRound(inputs, contributions));
    const shelf = new Uint8Array(4 * SIZE * 3 + 7);
    const moved = contributions.map((one, index) => {
      const at = 1 + index * (4 * SIZE + 1);
      shelf.set(one.bytes, at);
      return { ...one, bytes: shelf.subarray(at, at + one.bytes.length) };
    });
    const round = openRound({ ...inputs, weights: inputs.weights.slice() });
    for (const one of moved) value(round.add(one));
    expect(value(round.close())).toEqual(once);
    expect(
      value(
        closeRound(
          inputs,
          (function* () {
            yield* contributions;
          })(),
        ),
      ),
    ).toEqual(once);
    expect(inputs.weights).toEqual(before);
  });
});

describe("a round", () => {
  it("reports the aggregate's norm before clipping, and steps by the clipped one", () => {
    const plain: OptimizerSpec = { kind: "sgd", learningRate: 1, momentum: 0, weightDecay: 0 };
    const inputs = { ...base(plain, 2), weights: new Float32Array(SIZE), learningRate: 1 };
    const update = normals(SIZE, 2);
    const next = value(closeRound(inputs, [contribution(update, 4)]));
    expect(next.norm).toBe(Math.fround(norm(update)));
    expect(norm(next.weights)).toBeCloseTo(2, 5);
    expect(norm(value(closeRound({ ...inputs, spec: spec(plain) }, [contribution(update, 4)])).weights)).toBeCloseTo(norm(update), 4);
  });

  it("weighs losses by samples, and says what each contribution counted", () => {
    const next = value(closeRound(base(SGD), [contribution(normals(SIZE, 1), 10), { ...contribution(normals(SIZE, 2), 30), weight: 0 }]));
    expect(next.lossMean).toBe(Math.fround((10 * 1 + 30 * 3) / 40));
    expect(next.contributionWeights).toEqual([10, 0]);
    expect(next.weights).toEqual(value(closeRound(base(SGD), [contribution(normals(SIZE, 1), 10)])).weights);
    expect(value(closeRound(base(SGD), [{ samples: 1, codec: "f32", bytes: encode(normals(SIZE, 1), "f32") }])).lossMean).toBeNull();
  });

  it("mixes codecs, each near what f32 would have given", () => {
    const exact = value(closeRound(base(SGD), split(3)));
    for (const codec of ["f16", "int8"]) {
      const coded = split(3).map((one) => {
        return { ...one, codec, bytes: encode(f32FromBytes(one.bytes), codec) };
      });
      const near = value(closeRound(base(SGD), coded));
      expect(distance(near.weights, exact.weights)).toBeLessThan(1e-3);
      expect(near.weights).not.toEqual(exact.weights);
    }
  });

  it("refuses bytes that do not decode, an unknown codec and a damaged state, by code", () => {
    const good = contribution(normals(SIZE, 1), 1);
    for (const bad of [
      { ...good, bytes: good.bytes.subarray(4) },
      { ...good, codec: "gzip" },
      { ...good, bytes: new Uint8Array(4 * SIZE).fill(0xff) },
    ])
      expect(closeRound(base(SGD), [good, bad])).toMatchObject({ ok: false, code: "damaged" });
    expect(closeRound({ ...base(SGD), optimizer: Uint8Array.of(1) }, [good])).toMatchObject({ ok: false, code: "damaged" });
    expect(closeRound(base(SGD), [])).toMatchObject({ ok: false, code: "bad-command" });
  });

  it("refuses to publish weights that are not finite", () => {
    const huge = contribution(new Float32Array(SIZE).fill(3e38), 1);
    expect(closeRound({ ...base(SGD), learningRate: 100 }, [huge])).toMatchObject({ ok: false, code: "not-finite" });
  });

  it("does not depend on how many contributions there are: equal parts of one update are that update", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), (parts) => {
        const one = contribution(normals(SIZE, 3), 8);
        expect(value(closeRound(base(SGD), new Array<RoundContribution>(parts).fill(one))).weights).toEqual(
          value(closeRound(base(SGD), [one])).weights,
        );
      }),
      { numRuns: 10 },
    );
  });
});

it("keeps its bits: weights and state after three rounds of each codec and optimiser never change, or old ledgers could not be recomputed", () => {
  const hash = createHash("sha256");
  for (const optimizer of [SGD, ADAMW]) {
    let state: Uint8Array | null = null;
    let weights = normals(SIZE, 1, 0.1);
    for (const codec of ["f32", "f16", "int8"]) {
      const contributions = [21, 22].map((seed) => contribution(normals(SIZE, seed), seed, codec));
      const next: NextVersion = value(closeRound({ ...base(optimizer, 1), weights, optimizer: state }, contributions));
      weights = next.weights;
      state = next.optimizer;
      hash.update(new Uint8Array(weights.buffer)).update(state);
    }
  }
  expect(hash.digest("hex")).toMatchInlineSnapshot(`"d0ff1c302c40015ca53c41e1cc1fac19b424f63a44cc32faa5f509d334626f43"`);
});
