// The bench of churn in short: half of the assignments abandoned, a third of the answers late.
import { expect, test, vi } from "vitest";
import { goodputOf, measureChurn } from "./churn.ts";

vi.setConfig({ testTimeout: 300_000 });

test("a run in churn comes to the calm run's loss, and little of what was computed in it is in vain", async () => {
  const { calm, churned } = await measureChurn({ versions: 5, seeds: 1 }, 7, () => undefined);
  const [still, stormy] = [calm[0]?.lossMean ?? Number.NaN, churned[0]?.lossMean ?? Number.NaN];
  expect(Math.abs(stormy - still) / still).toBeLessThan(0.01);
  expect(goodputOf(churned, ["prompt"])).toBeGreaterThan(0.95);
  expect(goodputOf(churned)).toBeGreaterThan(0.75);
});
