import { describe, expect, it } from "vitest";
import { randomStream, threefry2x32 } from "./random.ts";

const block = (key: readonly [number, number], counter: readonly [number, number]): number[] => {
  const out = new Uint32Array(2);
  threefry2x32(...key, ...counter, out);
  return [...out];
};

describe("Threefry-2x32-20", () => {
  // Random123's tests/kat_vectors, lines "threefry2x32 20": counter, key, result.
  it.each([
    [
      [0, 0],
      [0, 0],
      [0x6b200159, 0x99ba4efe],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x1cb996fc, 0xbb002be7],
    ],
    [
      [0x243f6a88, 0x85a308d3],
      [0x13198a2e, 0x03707344],
      [0xc4923a9c, 0x483df7a0],
    ],
  ] as const)("gives the published answer for counter %j and key %j", (counter, key, answer) => {
    expect(block(key, counter)).toEqual(answer);
  });
});

describe("a random stream", () => {
  it("gives the same words by sequence and by counter", () => {
    const stream = randomStream(7, 3);
    const pair = new Uint32Array(2);
    for (let counter = 0; counter < 50; counter++) {
      stream.pairAt(counter, pair);
      expect([stream.u32(), stream.u32()]).toEqual([...pair]);
    }
  });

  it("differs by seed, by stream beyond 32 bits, by use, and by counter beyond 32 bits", () => {
    const first = [
      randomStream(7, 3),
      randomStream(8, 3),
      randomStream(7, 4),
      randomStream(7, 3 + 2 ** 32),
      randomStream(7, 3, "codec"),
    ].map((stream) => stream.bits53At(0));
    const stream = randomStream(7, 3);
    expect(new Set([...first, stream.bits53At(1), stream.bits53At(2 ** 32), stream.bits53At(2 ** 52)]).size).toBe(8);
  });

  it("draws uniforms that are exact in f32, in [0, 1), evenly", () => {
    const stream = randomStream(1, 0);
    const counts = new Array<number>(16).fill(0);
    const draws = 160_000;
    for (let draw = 0; draw < draws; draw++) {
      const uniform = stream.uniform();
      if (!(uniform >= 0 && uniform < 1 && Math.fround(uniform) === uniform)) throw new Error(`bad uniform ${uniform}`);
      counts[Math.floor(uniform * 16)] = (counts[Math.floor(uniform * 16)] as number) + 1;
    }
    // Chi-square with 15 degrees of freedom: 37.7 is passed once in a thousand seeds; this seed is fixed.
    const chi = counts.reduce((total, count) => total + (count - draws / 16) ** 2 / (draws / 16), 0);
    expect(chi).toBeLessThan(37.7);
  });

  it("draws normals with mean 0, deviation 1 and a normal's share within one deviation", () => {
    const stream = randomStream(2, 0);
    const draws = 100_000;
    let total = 0;
    let squares = 0;
    let within = 0;
    for (let draw = 0; draw < draws; draw++) {
      const value = stream.normal();
      total += value;
      squares += value * value;
      if (Math.abs(value) < 1) within++;
    }
    expect(Math.abs(total / draws)).toBeLessThan(0.01);
    expect(Math.abs(squares / draws - 1)).toBeLessThan(0.015);
    expect(within / draws).toBeCloseTo(0.68, 1);
  });

  it("keeps its bits: the first words of named streams never change", () => {
    const words = (seed: number, stream: number) => {
      const random = randomStream(seed, stream);
      return [random.u32(), random.u32(), random.u32()];
    };
    expect([words(0, 0), words(7, 2 ** 40)]).toMatchInlineSnapshot(`
      [
        [
          4165894930,
          804218099,
          1658387361,
        ],
        [
          1553457788,
          2382659551,
          2364669300,
        ],
      ]
    `);
  });

  it("refuses a seed or a stream that is no such number", () => {
    expect(() => randomStream(-1, 0)).toThrow(RangeError);
    expect(() => randomStream(2 ** 32, 0)).toThrow(RangeError);
    expect(() => randomStream(0, 0.5)).toThrow(RangeError);
    expect(() => randomStream(0, 2 ** 53)).toThrow(RangeError);
  });
});
