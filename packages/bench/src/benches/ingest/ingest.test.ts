// The short form of bench `ingest`: its own goals, which a busy machine meets too: bits, processor time, verdicts. The coordinator must have been built.
import { expect, it } from "vitest";
import { meets } from "../../bench.ts";
import { ingestBench } from "./ingest.ts";

it("updates are taken in and folded as fast as the short form wants it", { timeout: 300_000 }, async () => {
  const rows = await ingestBench.run({ short: true, seed: 7, peakTflops: null, only: null, data: null, say: () => undefined });
  const judged = rows.filter(({ goal }) => goal !== null);
  expect(judged.map(({ figure }) => figure.split(":")[0])).toEqual([
    "fold, f32",
    "fold, f32",
    "fold, f32",
    "fold, ternary",
    "fold, ternary",
    "accept",
  ]);
  expect(judged.filter((row) => !meets(row))).toEqual([]);
});
