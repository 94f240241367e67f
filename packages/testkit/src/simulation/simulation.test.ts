// The short form of the bench `faults`: some small seeds and one large, all invariants after every event. A failing seed prints its smallest form.
import { expect, test } from "vitest";
import { FAULT_NAMES, type FaultName } from "./faults.ts";
import type { SimulationOptions } from "./plan.ts";
import { describeFailure, shrink } from "./shrink.ts";
import { type Outcome, simulate } from "./simulate.ts";

const MINUTES = 60_000;

async function expectAllHold(options: SimulationOptions): Promise<Outcome> {
  const outcome = await simulate(options);
  if (outcome.violation !== null) expect.fail(describeFailure(await shrink(outcome, { tries: 40 }), outcome));
  return outcome;
}

test("over 120 seeds of 3 to 40 volunteers every invariant holds, and every fault strikes", { timeout: 10 * MINUTES }, async () => {
  const struck = new Map<FaultName, number>();
  let crashes = 0;
  for (let seed = 1_000; seed < 1_120; seed += 1) {
    const { faults, crashes: ends } = await expectAllHold({ seed, size: "small" });
    for (const [fault, times] of Object.entries(faults) as [FaultName, number][]) struck.set(fault, (struck.get(fault) ?? 0) + times);
    crashes += ends;
  }
  expect(FAULT_NAMES.filter((fault) => !struck.has(fault))).toEqual([]);
  expect(crashes).toBeGreaterThan(50);
});

test("with 200 volunteers and 50 versions every invariant holds", { timeout: 10 * MINUTES }, async () => {
  const { versions, acknowledged } = await expectAllHold({ seed: 1, size: "large" });
  expect(versions).toBeGreaterThanOrEqual(50);
  expect(acknowledged).toBeGreaterThan(500);
});

test("the same seed is the same history, to the last bit", { timeout: 2 * MINUTES }, async () => {
  // A seed with crashes, slow disks and tabs of every mood.
  const options = { seed: 15, size: "small" } as const;
  const first = await simulate(options);
  const second = await simulate(options);
  expect(first.crashes).toBeGreaterThan(0);
  expect(second).toEqual(first);
});
