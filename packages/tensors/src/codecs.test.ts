import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Codec, decode } from "./codec.ts";
import { codecNamed, codecs } from "./codecs.ts";
import { f16Nearest, f16ToNumber } from "./f16.ts";
import { randomStream } from "./random.ts";

const STREAM = { seed: 7, lease: 3 };
const all = [...codecs.values()];

const encoded = (codec: Codec, update: Float32Array, stream = STREAM): Uint8Array => {
  const result = codec.encode(update, stream);
  if (!result.ok) throw new Error(result.detail);
  return result.bytes;
};
const decoded = (codec: Codec, bytes: Uint8Array, size: number): Float32Array => {
  const result = decode(codec, bytes, size);
  if (!result.ok) throw new Error(result.detail);
  return result.update;
};
const trip = (codec: Codec, values: readonly number[]): number[] => {
  const update = Float32Array.from(values);
  return [...decoded(codec, encoded(codec, update), update.length)];
};
const normals = (size: number, seed = 1, scale = 0.02): Float32Array => {
  const random = randomStream(seed, 0);
  return Float32Array.from({ length: size }, () => random.normal() * scale);
};
/** The byte that says that a codec's own bytes follow, where entropy-coded ones could. */
const plainForm = ({ name }: Codec): number[] => (name === "ternary" || name === "topk" ? [0] : []);
const updates = fc.float32Array({ noNaN: true, noDefaultInfinity: true, min: -60_000, max: 60_000, maxLength: 900 });

describe.each(all)("codec $name", (codec) => {
  it("encodes any finite update to the promised length, and decodes it to as many finite values", () => {
    fc.assert(
      fc.property(updates, (update) => {
        const bytes = encoded(codec, update);
        expect(bytes.length).toBeGreaterThanOrEqual(codec.leastBytes(update.length));
        expect(bytes.length).toBeLessThanOrEqual(codec.mostBytes(update.length));
        expect(decoded(codec, bytes, update.length).every(Number.isFinite)).toBe(true);
      }),
    );
  });

  it("leaves its input alone and gives the same bytes for the same stream", () => {
    const update = normals(700);
    const before = update.slice();
    expect(encoded(codec, update)).toEqual(encoded(codec, update));
    expect(update).toEqual(before);
  });

  it("decodes from a view at any byte offset", () => {
    const update = normals(515);
    const bytes = encoded(codec, update);
    const shelf = new Uint8Array(bytes.length + 3);
    shelf.set(bytes, 3);
    expect(decoded(codec, shelf.subarray(3), 515)).toEqual(decoded(codec, bytes, 515));
  });

  it("refuses a payload that is a byte short, a byte long, or for another size", () => {
    const bytes = encoded(codec, normals(600));
    const refusal = codec.leastBytes(600) === codec.mostBytes(600) ? { ok: false, fault: "wrong-length" } : { ok: false };
    for (const wrong of [bytes.subarray(1), new Uint8Array(bytes.length + 1), new Uint8Array(0)])
      expect(decode(codec, wrong, 600)).toMatchObject(refusal);
    expect(decode(codec, bytes, 700)).toMatchObject(refusal);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("refuses to encode %s wherever it stands", (value) => {
    for (const at of [0, 255, 256, 299]) {
      const update = normals(300);
      update[at] = value;
      expect(codec.encode(update, STREAM)).toMatchObject({ ok: false, fault: "not-finite" });
    }
  });

  it("refuses or decodes to finite values whatever bytes of the right length arrive", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: codec.leastBytes(257), maxLength: codec.mostBytes(257) }), (bytes) => {
        const result = decode(codec, bytes, 257);
        if (result.ok) expect(result.update.every(Number.isFinite)).toBe(true);
        else expect(["not-finite", "bad-payload", "wrong-length"]).toContain(result.fault);
      }),
    );
  });

  it("carries an update of no values, of zeros, and of one value", () => {
    expect(trip(codec, [])).toEqual([]);
    expect(trip(codec, new Array(300).fill(0))).toEqual(new Array(300).fill(0));
    expect(trip(codec, [0.5])).toEqual([0.5]);
  });
});

describe("codec f32", () => {
  it("is lossless, -0 and subnormals included", () => {
    fc.assert(
      fc.property(fc.float32Array({ noNaN: true, noDefaultInfinity: true, maxLength: 300 }), (update) => {
        expect(trip(codecNamed("f32") as Codec, [...update])).toEqual([...update]);
      }),
    );
    expect(Object.is(trip(codecNamed("f32") as Codec, [-0])[0], -0)).toBe(true);
  });
  it("refuses NaN and infinities that arrive", () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY])
      expect(decode(codecNamed("f32") as Codec, new Uint8Array(Float32Array.of(1, value).buffer), 2)).toMatchObject({
        fault: "not-finite",
      });
  });
});

describe("codec f16", () => {
  it("keeps every value to the nearest f16", () => {
    fc.assert(
      fc.property(updates, (update) => {
        expect(trip(codecNamed("f16") as Codec, [...update])).toEqual([...update].map((value) => f16ToNumber(f16Nearest(value))));
      }),
    );
  });
  it("refuses what lies beyond f16, going and coming", () => {
    expect(codecNamed("f16")?.encode(Float32Array.of(65_520), STREAM)).toMatchObject({ fault: "not-finite" });
    expect(decode(codecNamed("f16") as Codec, Uint8Array.of(0, 0x7c), 1)).toMatchObject({ fault: "not-finite" });
    expect(decode(codecNamed("f16") as Codec, Uint8Array.of(1, 0xfc), 1)).toMatchObject({ fault: "not-finite" });
  });
});

const QUANTISED = [
  { name: "int8", levels: 127 },
  { name: "int4", levels: 7 },
  { name: "ternary", levels: 1 },
].map(({ name, levels }) => ({ name, levels, codec: codecNamed(name) as Codec }));

describe.each(QUANTISED)("codec $name", ({ codec, levels }) => {
  it("is off by less than one level of its block, always", () => {
    fc.assert(
      fc.property(updates, (update) => {
        const back = trip(codec, [...update]);
        for (let from = 0; from < update.length; from += 256) {
          const block = update.subarray(from, from + 256);
          const most = block.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
          // The scale is at most one f16 step above the largest value.
          const level = (most * (1 + 2 ** -10) + 2 ** -24) / levels;
          for (const [at, value] of block.entries())
            expect(Math.abs((back[from + at] as number) - value)).toBeLessThanOrEqual(level * 1.000001);
        }
      }),
    );
  });

  it("is unbiased: the mean over many leases comes as near as its deviation allows", () => {
    const update = normals(300, 5);
    const leases = 4000;
    const total = new Float64Array(300);
    for (let lease = 0; lease < leases; lease++) {
      const back = decoded(codec, encoded(codec, update, { seed: 7, lease }), 300);
      for (let at = 0; at < 300; at++) total[at] = (total[at] as number) + (back[at] as number);
    }
    const most = update.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
    // One draw deviates by at most half a level; 4.5 deviations of the mean over 300 values of a fixed seed.
    const allowed = ((4.5 * 0.5) / Math.sqrt(leases)) * (most / levels);
    let biased = 0;
    for (let at = 0; at < 300; at++) biased = Math.max(biased, Math.abs((total[at] as number) / leases - (update[at] as number)));
    expect(biased).toBeLessThan(allowed);
    expect(allowed).toBeLessThan(most / levels / 20);
  });

  it("draws other numbers for another lease and another seed", () => {
    const update = normals(300);
    expect(encoded(codec, update, { seed: 7, lease: 4 })).not.toEqual(encoded(codec, update));
    expect(encoded(codec, update, { seed: 8, lease: 3 })).not.toEqual(encoded(codec, update));
  });

  it("clamps at the block's largest value: never a level beyond the last, for thousands of values that equal the scale", () => {
    const update = new Float32Array(8192).fill(0.75).map((value, at) => (at % 2 === 0 ? value : -value));
    expect(decoded(codec, encoded(codec, update), 8192)).toEqual(update);
  });

  it("rounds the scale up, so that no value lies outside it", () => {
    for (const value of [0.1, 1e-3, 3.3333, 2 ** -24 * 1.5, 1e-30, 1e-45]) {
      const bits = encoded(codec, Float32Array.of(value)).subarray(plainForm(codec).length);
      expect(f16ToNumber((bits[0] as number) | ((bits[1] as number) << 8))).toBeGreaterThanOrEqual(Math.fround(value));
    }
  });

  it("carries 65,504 and refuses what is larger", () => {
    expect(trip(codec, [65_504, -65_504])).toEqual([65_504, -65_504]);
    expect(codec.encode(Float32Array.of(65_505), STREAM)).toMatchObject({ ok: false, fault: "not-finite" });
  });

  it("takes the bits a parameter that it names", () => {
    const size = 256 * 5 * 100;
    expect((8 * (codec.mostBytes(size) - plainForm(codec).length)) / size).toBeCloseTo(codec.bitsPerParameter, 6);
  });

  it.each([
    ["an infinite scale", [0x00, 0x7c, 0], "not-finite"],
    ["a NaN scale", [0x01, 0x7c, 0], "not-finite"],
    ["a negative scale", [0x00, 0xbc, 0], "bad-payload"],
    ["a scale of -0", [0x00, 0x80, 0], "bad-payload"],
    ["a level other than 0 under a scale of 0", [0x00, 0x00, 1], "bad-payload"],
  ])("refuses %s", (_, bytes, fault) => {
    expect(decode(codec, Uint8Array.from([...plainForm(codec), ...bytes]), 1)).toMatchObject({ ok: false, fault });
  });
});

it.each([
  ["int8", "level -128", [0x00, 0x3c, 0x80]],
  ["int4", "level -8", [0x00, 0x3c, 0x08]],
  ["int4", "a value after the last", [0x00, 0x3c, 0x11]],
  ["ternary", "a byte of no five digits", [0x00, 0x3c, 243]],
  ["ternary", "a value after the last", [0x00, 0x3c, 3]],
  ["sign", "an infinite scale", [0x00, 0x7c, 0]],
  ["sign", "a negative scale", [0x00, 0xbc, 0]],
  ["sign", "a value after the last", [0x00, 0x3c, 2]],
  ["topk", "an infinite scale", [0x00, 0x7c, 0, 0]],
  ["topk", "a negative scale", [0x00, 0xbc, 0, 0]],
  ["topk", "an index beyond the block", [0x00, 0x3c, 1, 0]],
  ["topk", "bits after the last value", [0x00, 0x3c, 0, 0x40]],
])("codec %s refuses %s", (name, _, bytes) => {
  const codec = codecNamed(name) as Codec;
  expect(decode(codec, Uint8Array.from([...plainForm(codec), ...bytes]), 1)).toMatchObject({ ok: false });
  expect(decode(codec, encoded(codec, Float32Array.of(1)), 1)).toMatchObject({ ok: true });
});

it("codec topk refuses an index that does not rise", () => {
  const topk = codecNamed("topk") as Codec;
  const bytes = encoded(topk, normals(128));
  // Both chosen values at place 5.
  expect(bytes[0]).toBe(0);
  bytes.set([5, 0x40, 1, 0], 3);
  expect(decode(topk, bytes, 128)).toMatchObject({ ok: false, fault: "bad-payload" });
});

describe("codec sign", () => {
  it("keeps each value's sign and each block's mean magnitude", () => {
    const update = normals(600);
    const back = decoded(codecNamed("sign") as Codec, encoded(codecNamed("sign") as Codec, update), 600);
    for (let from = 0; from < 600; from += 256) {
      const block = update.subarray(from, from + 256);
      const mean = block.reduce((total, value) => total + Math.abs(value), 0) / block.length;
      for (const [at, value] of block.entries()) {
        expect(Math.sign(back[from + at] as number)).toBe(Math.sign(value));
        expect(Math.abs(Math.abs(back[from + at] as number) / mean - 1)).toBeLessThan(2 ** -11);
      }
    }
  });
});

describe("codec topk", () => {
  it("keeps the largest 64 of 4,096 to within a third of the block's largest, and nothing else", () => {
    const topk = codecNamed("topk") as Codec;
    const update = normals(4096 + 100, 9);
    const back = decoded(topk, encoded(topk, update), update.length);
    for (const [from, to, kept] of [
      [0, 4096, 64],
      [4096, 4196, 2],
    ] as const) {
      const block = update.subarray(from, to);
      const sizes = [...block].map(Math.abs).sort((a, b) => b - a);
      const least = sizes[kept - 1] as number;
      const third = (sizes[0] as number) * 0.3334;
      for (const [at, value] of block.entries()) {
        const said = back[from + at] as number;
        expect(said !== 0).toBe(Math.abs(value) >= least);
        if (said !== 0) expect(Math.abs(said - value)).toBeLessThanOrEqual(third);
      }
    }
    expect((8 * topk.mostBytes(40_960)) / 40_960).toBeLessThan(0.24);
  });

  it("chooses the first among values of one size", () => {
    const topk = codecNamed("topk") as Codec;
    const back = decoded(topk, encoded(topk, new Float32Array(128).fill(-2)), 128);
    expect([...back]).toEqual([-2, -2, ...new Array(126).fill(0)]);
  });
});

describe.each(["ternary", "topk"])("the coded form of %s", (name) => {
  const codec = codecNamed(name) as Codec;
  const update = normals(4096 * 48 + 333, 4);
  const bytes = encoded(codec, update);

  it("saves at least a tenth of an update of normal values, and says the same as the plain form", () => {
    expect(bytes[0]).toBe(1);
    expect(bytes.length).toBeLessThan(0.9 * codec.mostBytes(update.length));
    expect(decoded(codec, bytes, update.length).filter((value) => value !== 0).length).toBeGreaterThan(update.length / 100);
  });

  it("refuses every cut and never gives more than was asked for, whatever is changed", () => {
    for (let end = 0; end < bytes.length; end += 997) expect(decode(codec, bytes.subarray(0, end), update.length).ok).toBe(false);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = bytes.slice();
        damaged[at] = (damaged[at] as number) ^ flip;
        const result = decode(codec, damaged, update.length);
        if (result.ok) expect(result.update.length).toBe(update.length);
      }),
      { numRuns: 60 },
    );
  });

  it("refuses a form that does not exist and counts that do not fit", () => {
    const other = bytes.slice();
    other[0] = 2;
    expect(decode(codec, other, update.length)).toMatchObject({ ok: false, fault: "bad-payload" });
    expect(decode(codec, bytes, update.length + 9000).ok).toBe(false);
    expect(decode(codec, Uint8Array.from([1, ...new Array(40).fill(255)]), 64).ok).toBe(false);
  });
});

it("knows no codec by a name of the language's own objects", () => {
  expect(codecNamed("constructor")).toBeUndefined();
  expect(codecNamed("int3")).toBeUndefined();
});
