// The short form of bench `step`: it counts dispatches, submits, maps and bytes of real steps in a real browser, and judges no time.
import { describe, expect, it } from "vitest";
import { meets } from "../bench.ts";
import { stepRows } from "./step.ts";

describe("a training step", () => {
  it("keeps to its bars of dispatches, submits, maps and memory, and trains", { timeout: 600_000 }, async () => {
    const rows = await stepRows({ short: true, say: () => undefined, peakTflops: null, only: null, data: null, hardware: false });
    const judged = rows.filter(({ goal }) => goal !== null);
    for (const model of ["gpt 2x64", "cnn", "lstm, unroll 8", "lstm, unroll 80"])
      expect(
        judged.filter(({ figure }) => figure.startsWith(`${model}: `)),
        model,
      ).toHaveLength(5);
    expect(judged.filter((row) => !meets(row))).toEqual([]);
    expect(rows.some(({ unit }) => /ms|\/s|times/.test(unit))).toBe(false);
  });
});
