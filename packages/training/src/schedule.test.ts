import type { RunSpec, ScheduleSpec } from "@weft/protocol";
import { expect, it } from "vitest";
import { learningRate } from "./schedule.ts";

const spec = (schedule: ScheduleSpec, versions = 100) =>
  ({ training: { versions, schedule, optimizer: { kind: "sgd", learningRate: 0.1, momentum: 0, weightDecay: 0 } } }) as unknown as RunSpec;
const rate = (schedule: ScheduleSpec, base: number, versions = 100) => learningRate(spec(schedule, versions), base);

it("rises linearly over the warm-up and is never 0", () => {
  const schedule = { kind: "constant", warmupVersions: 4 } as const;
  expect([0, 1, 2, 3, 4, 99].map((base) => rate(schedule, base))).toEqual([0.025, 0.05, 0.075, 0.1, 0.1, 0.1].map(Math.fround));
});

it("falls by half a cosine towards the final fraction", () => {
  const schedule = { kind: "cosine", warmupVersions: 20, finalFraction: 0.1 } as const;
  expect(rate(schedule, 20)).toBe(Math.fround(0.1));
  expect(rate(schedule, 60)).toBeCloseTo(0.055, 7);
  expect(rate(schedule, 40)).toBeCloseTo(0.01 + 0.09 * (0.5 + Math.SQRT1_2 / 2), 7);
  expect(rate(schedule, 99)).toBeGreaterThan(0.01);
  expect(rate(schedule, 99)).toBeLessThan(0.0101);
  expect(rate(schedule, 100)).toBeCloseTo(0.01, 8);
  expect(rate(schedule, 500)).toBe(rate(schedule, 100));
});

it("falls along a line towards the final fraction, and spends no round at rate 0", () => {
  const schedule = { kind: "linear", warmupVersions: 0, finalFraction: 0 } as const;
  expect([0, 50, 99].map((base) => rate(schedule, base))).toEqual([0.1, 0.05, 0.001].map((value) => expect.closeTo(value, 7)));
});

it("stays within bounds where the warm-up is as long as the run, or longer", () => {
  for (const warmupVersions of [10, 11, 50])
    for (const kind of ["cosine", "linear"] as const)
      for (let base = 0; base < 10; base++) {
        const value = rate({ kind, warmupVersions, finalFraction: 0.5 }, base, 10);
        expect(value).toBeGreaterThan(0);
        expect(value).toBeLessThanOrEqual(Math.fround(0.1));
      }
});

it("gives an exact f32, since the ledger keeps its bits", () => {
  for (let base = 0; base < 100; base++) {
    const value = rate({ kind: "cosine", warmupVersions: 7, finalFraction: 0.1 }, base);
    expect(Math.fround(value)).toBe(value);
  }
});
