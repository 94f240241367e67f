// The arena against a plain model of it.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Arena } from "./arena.ts";

/** A source that counts up. */
function counter(): { readonly source: (sizeBytes: number) => number; readonly top: () => number } {
  let top = 16;
  return {
    source: (sizeBytes) => {
      top += sizeBytes;
      return top - sizeBytes;
    },
    top: () => top,
  };
}

describe("the arena", () => {
  it("never gives the same bytes to two, whatever is taken and given back in whatever order", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ sizeBytes: fc.integer({ min: 0, max: 200 }), releases: fc.nat(3) }), { maxLength: 60 }), (steps) => {
        const arena = new Arena(counter().source);
        const held: { at: number; end: number }[] = [];
        for (const { sizeBytes, releases } of steps) {
          const at = arena.allocate(sizeBytes);
          expect(at % 16).toBe(0);
          for (const other of held) expect(at >= other.end || at + sizeBytes <= other.at).toBe(true);
          held.push({ at, end: at + Math.max(16, Math.ceil(sizeBytes / 16) * 16) });
          for (let count = 0; count < releases && held.length > 0; count++)
            arena.release(held.splice((sizeBytes * 7 + count) % held.length, 1)[0]?.at ?? 0);
          expect(arena.usedBytes).toBe(held.reduce((sum, block) => sum + block.end - block.at, 0));
        }
      }),
    );
  });

  it("asks for nothing more when the same work is done again", () => {
    const { source, top } = counter();
    const arena = new Arena(source);
    const work = (): void => {
      const blocks = [400, 48, 1600, 16, 96].map((sizeBytes) => arena.allocate(sizeBytes));
      for (const at of [...blocks.slice(2), ...blocks.slice(0, 2)]) arena.release(at);
    };
    work();
    const before = top();
    for (let repeat = 0; repeat < 50; repeat++) work();
    expect(top()).toBe(before);
  });

  it("merges what is free: what was small becomes one block again", () => {
    const { source, top } = counter();
    const arena = new Arena(source);
    const blocks = Array.from({ length: 8 }, () => arena.allocate(16));
    for (const index of [1, 3, 5, 7, 0, 2, 4, 6]) arena.release(blocks[index] as number);
    const before = top();
    expect(arena.allocate(128)).toBe(blocks[0]);
    expect(top()).toBe(before);
  });

  it("refuses to take back what it did not give", () => {
    const arena = new Arena(counter().source);
    const at = arena.allocate(4);
    arena.release(at);
    expect(() => arena.release(at)).toThrow(/no block/);
  });
});
