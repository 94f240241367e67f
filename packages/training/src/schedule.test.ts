import type { RunSpec, RunSpecOf, ScheduleSpec } from "@weft/protocol";
import fc from "fast-check";
import { expect, it } from "vitest";
import { innerLearningRate, learningRate, samplesCounted } from "./schedule.ts";

const BATCH = 8;
const SGD = { kind: "sgd", learningRate: 0.1, momentum: 0, weightDecay: 0 } as const;
const spec = (schedule: ScheduleSpec, versions = 100) =>
  ({ training: { mode: "gradient", versions, samplesPerVersion: BATCH, schedule, optimizer: SGD } }) as unknown as RunSpec;
const rate = (schedule: ScheduleSpec, base: number, versions = 100) =>
  learningRate(spec(schedule, versions), { steps: base, samples: Number.NaN });

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

it("goes down by its factor at each milestone, whatever the warm-up", () => {
  const schedule: ScheduleSpec = { kind: "step", warmupVersions: 2, milestones: [3, 6, 7], factor: 0.5 };
  expect([0, 1, 2, 3, 5, 6, 7, 99].map((base) => rate(schedule, base))).toEqual(
    [0.05, 0.1, 0.1, 0.05, 0.05, 0.025, 0.0125, 0.0125].map(Math.fround),
  );
});

const KINDS = fc.constantFrom("constant", "cosine", "linear", "step");
const shapeOf = (kind: string) =>
  kind === "constant" ? {} : kind === "step" ? { milestones: [3, 10, 11], factor: 0.1 } : { finalFraction: 0.2 };

it("by samples is what it is by versions, where each version counts as many", () => {
  fc.assert(
    fc.property(KINDS, fc.nat(12), fc.integer({ min: 1, max: 40 }), fc.nat(50), (kind, warmup, versions, steps) => {
      const shape = shapeOf(kind);
      const milestones = "milestones" in shape ? { milestones: shape.milestones?.map((place) => place * BATCH) } : {};
      const end = kind === "cosine" || kind === "linear" ? { samples: versions * BATCH } : {};
      const byVersions = { kind, warmupVersions: warmup, ...shape } as ScheduleSpec;
      const bySamples = { kind, by: "samples", warmupSamples: warmup * BATCH, ...shape, ...milestones, ...end } as ScheduleSpec;
      const due = learningRate(spec(byVersions, versions), { steps, samples: Number.NaN });
      expect(learningRate(spec(bySamples, versions), { steps: Number.NaN, samples: steps * BATCH })).toBeCloseTo(due, 8);
    }),
  );
});

it("by samples goes by what the weights have counted, whatever a round or a version had, and is never 0", () => {
  const inner = { optimizer: SGD, schedule: { kind: "linear", by: "samples", warmupSamples: 100, samples: 1_100, finalFraction: 0 } };
  const run = { training: { mode: "local-steps", versions: 5, batch: 4, inner } } as unknown as RunSpecOf<"local-steps">;
  const at = (samples: number): number => innerLearningRate(run, { steps: 3, samples });
  expect([0, 46, 96, 99, 100, 600, 1_099].map(at)).toEqual(
    [0.004, 0.05, 0.1, 0.1, 0.1, 0.05, 0.0001].map((value) => expect.closeTo(value, 7)),
  );
});

it("counts what lies before a version's position, without what is pending", () => {
  expect(samplesCounted({ position: 24 })).toBe(24);
  expect(
    samplesCounted({
      position: 24,
      pending: [
        { start: 0, length: 3 },
        { start: 8, length: 8 },
      ],
    }),
  ).toBe(13);
});
