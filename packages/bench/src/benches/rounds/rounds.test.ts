import { probeBatch, probeWeights } from "@weft/models";
import { randomStream } from "@weft/tensors";
import { expect, test } from "vitest";
import { meets } from "../../bench.ts";
import { lstmReference } from "./lstm-reference.ts";
import { roundsBench } from "./rounds.ts";

test("the short form reaches its goals: evenly and unevenly dealt digits, ternary as f32, an LSTM by role", {
  timeout: 600_000,
}, async () => {
  const rows = await roundsBench.run({ short: true, seed: 7, peakTflops: null, only: null, data: null, say: () => undefined });
  expect(rows).toHaveLength(7);
  expect(rows.filter((row) => !meets(row))).toEqual([]);
});

test("a row that needs files which nobody named is not measured, and so misses its goal", async () => {
  const rows = await roundsBench.run({ short: false, seed: 7, peakTflops: null, only: "FedSGD", data: null, say: () => undefined });
  expect(rows).toMatchObject([{ value: null, note: "wants the folder of MNIST's files: --data FOLDER" }]);
  expect(rows.map(meets)).toEqual([false]);
});

test("the reference's gradient is the slope of its own loss", () => {
  const model = { kind: "lstm", vocabulary: 7, context: 5, embedding: 3, layers: 2, hidden: 4 } as const;
  const weights = Float64Array.from(probeWeights(model, 5));
  const batch = probeBatch(model, 3, 2, 6);
  const { gradientSum } = lstmReference(model, weights, batch);
  const step = 1e-6;
  const lossAt = (moved: Float64Array): number => lstmReference(model, moved, batch).lossSum;
  for (let seed = 1; seed <= 3; seed++) {
    const stream = randomStream(seed, 2);
    const direction = Float64Array.from(weights, () => stream.normal());
    const moved = (sign: number): Float64Array => weights.map((value, index) => value + sign * step * (direction[index] as number));
    const slope = (lossAt(moved(1)) - lossAt(moved(-1))) / (2 * step);
    const due = gradientSum.reduce((sum, value, index) => sum + value * (direction[index] as number), 0);
    expect(Math.abs(slope - due) / Math.abs(due)).toBeLessThan(1e-6);
  }
});
