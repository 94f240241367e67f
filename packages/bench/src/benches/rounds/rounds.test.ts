import { expect, test } from "vitest";
import { meets } from "../../bench.ts";
import { roundsBench } from "./rounds.ts";

test("the short form reaches its goals: evenly and unevenly dealt digits, and ternary as f32", { timeout: 600_000 }, async () => {
  const rows = await roundsBench.run({ short: true, seed: 7, peakTflops: null, only: null, data: null, say: () => undefined });
  expect(rows).toHaveLength(5);
  expect(rows.filter((row) => !meets(row))).toEqual([]);
});

test("a row that needs files which nobody named is not measured, and so misses its goal", async () => {
  const rows = await roundsBench.run({ short: false, seed: 7, peakTflops: null, only: "FedSGD", data: null, say: () => undefined });
  expect(rows).toMatchObject([{ value: null, note: "wants the folder of MNIST's files: --data FOLDER" }]);
  expect(rows.map(meets)).toEqual([false]);
});
