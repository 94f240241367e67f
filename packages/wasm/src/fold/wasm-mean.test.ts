// The mean in WebAssembly against the rule of @weft/training, bit for bit, over codecs, sizes, weights and damaged bytes.
import { createHash } from "node:crypto";
import { type Codec, codecNamed, codecs, randomStream } from "@weft/tensors";
import { aggregationRule } from "@weft/training";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { wasmMean } from "./wasm-mean.ts";

const fast = wasmMean();
const reference = aggregationRule({ kind: "mean" });

interface Update {
  readonly codec: Codec;
  readonly bytes: Uint8Array;
  readonly weight: number;
}
const named = (name: string): Codec => codecNamed(name) as Codec;

function encoded(codec: Codec, values: Float32Array, lease: number, weight: number): Update {
  const result = codec.encode(values, { seed: 1, lease });
  if (!result.ok) throw new Error(result.detail);
  return { codec, bytes: result.bytes, weight };
}
const normals = (size: number, stream: number, scale = 0.02): Float32Array => {
  const random = randomStream(9, stream);
  return Float32Array.from({ length: size }, () => random.normal() * scale);
};

/** The bits of an aggregate, short; a refusal as it is. */
const said = (result: ReturnType<ReturnType<typeof fast.start>["finish"]>): unknown =>
  result.ok && result.aggregate !== null ? createHash("sha256").update(new Uint8Array(result.aggregate.buffer)).digest("hex") : result;

/** What both say, wherever they say it. */
function fold(rule: typeof reference, size: number, updates: readonly Update[]): unknown {
  const aggregation = rule.start(size);
  for (const { weight, ...update } of updates) {
    const refused = aggregation.add(update, weight);
    if (refused !== null) return refused;
  }
  return said(aggregation.finish());
}

describe.each([...codecs.values()])("the mean of updates in $name", { timeout: 60_000 }, (codec) => {
  it("has the bits of the reference, for sizes around whole blocks and weights that are no whole numbers", () => {
    for (const size of [1, 3, 4, 255, 256, 257, 4095, 4096, 4097, 4096 * 3 + 1281]) {
      const updates = [1, 0.3, 17, 1e-7, 900].map((weight, lease) => encoded(codec, normals(size, lease), lease, weight));
      expect(fold(fast, size, updates), `${size} values`).toEqual(fold(reference, size, updates));
    }
  });

  it("refuses what the reference refuses, in the same words", () => {
    const size = 4096 + 300;
    const good = encoded(codec, normals(size, 1), 1, 2);
    fc.assert(
      fc.property(fc.nat(good.bytes.length - 1), fc.integer({ min: 0, max: 255 }), fc.boolean(), (at, byte, last) => {
        const bytes = good.bytes.slice();
        bytes[at] = byte;
        const bad = { ...good, bytes };
        const updates = last ? [good, bad] : [bad, good, good];
        expect(fold(fast, size, updates)).toEqual(fold(reference, size, updates));
      }),
      { numRuns: 60 },
    );
    for (const bytes of [good.bytes.subarray(1), new Uint8Array(0), new Uint8Array(good.bytes.length + 1)])
      expect(fold(fast, size, [good, { ...good, bytes }])).toEqual(fold(reference, size, [good, { ...good, bytes }]));
  });
});

describe("the mean in WebAssembly", { timeout: 60_000 }, () => {
  it("folds large updates of one thread's memory four at a time, and says what it needs no more", () => {
    const size = 1_100_000;
    const updates = Array.from({ length: 6 }, (_, lease) => encoded(named("f32"), normals(size, lease), lease, 1 + lease));
    const folded: number[] = [];
    const tells = wasmMean(undefined, (bytes) => folded.push(bytes));
    expect(fold(tells, size, updates)).toEqual(fold(reference, size, updates));
    expect(folded).toEqual([16 * size, 8 * size]);
    folded.length = 0;
    const small = updates.map(({ bytes, ...update }) => ({ ...update, bytes: bytes.slice(0, 4_000) }));
    expect(fold(tells, 1_000, small)).toEqual(fold(reference, 1_000, small));
    expect(folded).toEqual([24_000]);
  });

  it("has the bits of the reference for any values and any mixture of codecs, from views at any offset", () => {
    const size = fc.integer({ min: 1, max: 9000 });
    const parts = fc.array(
      fc.record({
        name: fc.constantFrom(...codecs.keys()),
        scale: fc.constantFrom(1e-38, 1e-6, 0.01, 300),
        weight: fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.float({ min: Math.fround(1e-6), max: 1000, noNaN: true })),
        shift: fc.nat(7),
      }),
      { minLength: 1, maxLength: 7 },
    );
    fc.assert(
      fc.property(size, parts, (values, drawn) => {
        const updates = drawn.map(({ name, scale, weight, shift }, lease) => {
          const update = encoded(named(name), normals(values, lease, scale), lease, weight);
          const shelf = new Uint8Array(update.bytes.length + shift);
          shelf.set(update.bytes, shift);
          return { ...update, bytes: shelf.subarray(shift) };
        });
        expect(fold(fast, values, updates)).toEqual(fold(reference, values, updates));
      }),
      { numRuns: 40 },
    );
  });

  it("takes entropy-coded updates, and refuses damaged ones in the words of the reference", () => {
    const size = 120_000;
    for (const codec of [named("ternary"), named("topk")]) {
      const updates = [1, 2].map((lease) => encoded(codec, normals(size, lease), lease, lease));
      for (const { bytes } of updates) expect(bytes[0]).toBe(1);
      expect(fold(fast, size, updates)).toEqual(fold(reference, size, updates));
      const [{ bytes: good }] = updates as [Update];
      for (let at = 1; at < good.length; at += Math.ceil(good.length / 25)) {
        const flipped = good.slice();
        flipped[at] = (flipped[at] as number) ^ 0x41;
        for (const bytes of [flipped, good.subarray(0, at)]) {
          const bad = [{ codec, bytes, weight: 3 }];
          expect(fold(fast, size, bad), `${codec.name} at ${at}`).toEqual(fold(reference, size, bad));
        }
      }
    }
  });

  it("takes any number of entropy-coded updates beside others, and finds the damaged one among them", () => {
    const size = 90_000;
    for (const count of [1, 3, 4, 5, 7, 11]) {
      const updates = Array.from({ length: count }, (_, lease) =>
        encoded(named(lease % 5 === 3 ? "int4" : "ternary"), normals(size, lease), lease, 1 + lease),
      );
      expect(fold(fast, size, updates), `${count} updates`).toEqual(fold(reference, size, updates));
      const { bytes: good, ...rest } = updates[count >> 1] as Update;
      const bytes = good.slice();
      bytes[good.length - 40] = (bytes[good.length - 40] as number) ^ 0x41;
      const damaged = updates.map((update, at) => (at === count >> 1 ? { ...rest, bytes } : update));
      expect(fold(fast, size, damaged), `${count} updates, one of them damaged`).toEqual(fold(reference, size, damaged));
    }
  });

  it("tells sums beyond all numbers from values that are none", () => {
    for (const name of codecs.keys()) {
      const heavy = [1e306, Number.MAX_VALUE].map((weight, lease) => encoded(named(name), normals(300, lease), lease, weight));
      expect(fold(fast, 300, heavy), name).toEqual(fold(reference, 300, heavy));
    }
    const values = Float32Array.from({ length: 19 }, (_, at) => (at === 17 ? 3e38 : at));
    const huge = [0, 1].map((lease) => encoded(named("f32"), values, lease, 1e300));
    expect(fold(fast, values.length, huge)).toEqual(fold(reference, values.length, huge));
    for (const [at, value] of [
      [3, Number.NaN],
      [17, Number.POSITIVE_INFINITY],
      [18, Number.NEGATIVE_INFINITY],
    ] as const) {
      const bytes = new Uint8Array(values.with(at, value).buffer);
      const bad = [encoded(named("f32"), values, 0, 1), { codec: named("f32"), bytes, weight: 2 }];
      expect(fold(fast, values.length, bad)).toEqual({ ok: false, fault: "not-finite", detail: expect.any(String) });
    }
  });

  it("keeps its sums where more comes than is gathered: any number of updates, two rounds at once", () => {
    const size = 5000;
    const updates = Array.from({ length: 23 }, (_, lease) =>
      encoded(named(lease % 3 === 0 ? "int8" : "f32"), normals(size, lease), lease, lease + 1),
    );
    const [one, other] = [fast.start(size), fast.start(size)];
    for (const { weight, ...update } of updates) {
      one.add(update, weight);
      other.add(update, 2 * weight);
    }
    const expected = fold(reference, size, updates);
    expect(said(one.finish())).toEqual(expected);
    // Weights that are twice as large make the same mean, bit for bit.
    expect(said(other.finish())).toEqual(expected);
  });

  it("keeps -0, subnormal and the largest values as they are", () => {
    const special = Float32Array.of(-0, 1e-45, -1e-45, 3.4028234e38, -3.4028234e38, 1, -1);
    for (const count of [1, 2, 9]) {
      const updates = Array.from({ length: count }, (_, lease) => encoded(named("f32"), special, lease, 1 + lease / 3));
      expect(fold(fast, special.length, updates)).toEqual(fold(reference, special.length, updates));
    }
  });

  it("has no aggregate without any update, and refuses a weight that is none", () => {
    expect(fast.start(3).finish()).toEqual({ ok: true, aggregate: null });
    const { weight: _, ...update } = encoded(named("f32"), Float32Array.of(1), 0, 1);
    for (const weight of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) expect(() => fast.start(1).add(update, weight)).toThrow(RangeError);
  });
});
