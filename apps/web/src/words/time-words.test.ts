import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { timeWords } from "./time-words.ts";

describe("on what a volunteer's time went", () => {
  it("is said in whole percents", () => {
    expect(timeWords({ computing: 9_310, uploading: 190, downloading: 400, waiting: 100 })).toBe(
      "93 % computing, 2 % uploading, 4 % downloading, 1 % waiting",
    );
  });
  it("is not said where there is nothing to say", () => {
    expect(timeWords(null)).toBeNull();
    expect(timeWords({ computing: 0, uploading: 0, downloading: 0, waiting: 0 })).toBeNull();
  });
  it("adds up to a hundred percent, whatever a volunteer claims", () => {
    const ms = fc.oneof(fc.nat(), fc.nat({ max: 100 }), fc.constant(Number.MAX_SAFE_INTEGER));
    const spent = fc.record({ computing: ms, uploading: ms, downloading: ms, waiting: ms });
    fc.assert(
      fc.property(spent, (claimed) => {
        const figures = [...(timeWords(claimed) ?? "").matchAll(/(\d+) %/g)].map(([, figure]) => Number(figure));
        if (Object.values(claimed).every((value) => value === 0)) expect(figures).toEqual([]);
        else expect(figures.reduce((sum, figure) => sum + figure, 0)).toBe(100);
      }),
    );
  });
});
