import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compress, expand } from "./entropy.ts";
import { randomStream } from "./random.ts";

const bytesOf = (size: number, draw: (uniform: number) => number): Uint8Array => {
  const random = randomStream(11, 0);
  return Uint8Array.from({ length: size }, () => draw(random.uniform()));
};

describe("the entropy coder", () => {
  it("gives back whatever it was given", () => {
    const few = fc.uint8Array({ max: 3, maxLength: 2000 });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 2000 }), few), (bytes) => {
        expect(expand(compress(bytes), bytes.length)).toEqual({ ok: true, bytes });
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ["one symbol", bytesOf(5000, () => 7)],
    ["all symbols alike", bytesOf(5000, (u) => Math.floor(256 * u))],
    ["one rare among very many", bytesOf(200_000, (u) => (u < 1e-5 ? 1 : 0))],
    ["as many rare ones as there are", bytesOf(50_000, (u) => (u < 0.01 ? Math.floor(25_600 * u) : 200))],
  ])("carries %s", (_, bytes) => {
    expect(expand(compress(bytes), bytes.length)).toEqual({ ok: true, bytes });
  });

  it("comes within 1 % and its table of the entropy", () => {
    const bytes = bytesOf(100_000, (u) => Math.floor(40 * u * u * u));
    const counts = new Map<number, number>();
    for (const byte of bytes) counts.set(byte, (counts.get(byte) ?? 0) + 1);
    const bits = [...counts.values()].reduce((sum, count) => sum - count * Math.log2(count / bytes.length), 0);
    expect(compress(bytes).length).toBeLessThan((1.01 * bits) / 8 + 32 + 60 + 4);
  });

  it("refuses every cut, and answers any bytes with a refusal or exactly the length asked for", () => {
    const whole = compress(bytesOf(300, (u) => Math.floor(9 * u)));
    for (let end = 0; end < whole.length; end++) expect(expand(whole.subarray(0, end), 300).ok).toBe(false);
    const longer = new Uint8Array(whole.length + 1);
    longer.set(whole);
    expect(expand(longer, 300).ok).toBe(false);
    expect(expand(whole, 299).ok).toBe(false);
    expect(expand(whole, 301).ok).toBe(false);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = whole.slice();
        damaged[at] = (damaged[at] as number) ^ flip;
        const result = expand(damaged, 300);
        if (result.ok) expect(result.bytes.length).toBe(300);
      }),
    );
  });
});
