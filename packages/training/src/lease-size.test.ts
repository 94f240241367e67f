import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { leaseSamples } from "./lease-size.ts";

const sizing = { left: 1_000, microBatch: 8, leaseMs: 2_000, samplesPerSecond: 100, present: 1, allowance: Number.POSITIVE_INFINITY };

describe("a lease's size", () => {
  it("is one micro-batch while the speed is unknown, else what leaseMs holds, in whole micro-batches", () => {
    expect(leaseSamples({ ...sizing, samplesPerSecond: null })).toBe(8);
    expect(leaseSamples(sizing)).toBe(200);
    expect(leaseSamples({ ...sizing, samplesPerSecond: 101.9 })).toBe(200);
    expect(leaseSamples({ ...sizing, samplesPerSecond: 0.001 })).toBe(8);
  });

  it("leaves their share to others who are present", () => {
    expect(leaseSamples({ ...sizing, samplesPerSecond: 1e9, present: 4 })).toBe(256);
    expect(leaseSamples({ ...sizing, samplesPerSecond: 1e9, present: 10_000 })).toBe(8);
  });

  it("is within the allowance, and nothing where that does not reach for a micro-batch", () => {
    expect(leaseSamples({ ...sizing, allowance: 20 })).toBe(16);
    expect(leaseSamples({ ...sizing, allowance: 7 })).toBe(0);
    expect(leaseSamples({ ...sizing, left: 5, allowance: 5 })).toBe(5);
  });

  it("is never more than what is left, is positive without a cap, and cuts any batch to its end", () => {
    const positive = fc.integer({ min: 1, max: 5_000 });
    const speed = fc.option(fc.double({ min: 1e-6, max: 1e9, noNaN: true }));
    fc.assert(
      fc.property(
        positive,
        fc.integer({ min: 1, max: 300 }),
        fc.array(fc.tuple(speed, positive), { minLength: 1 }),
        (batch, microBatch, askers) => {
          let left = batch;
          for (let turn = 0; left > 0; turn += 1) {
            const [samplesPerSecond, present] = askers[turn % askers.length] as [number | null, number];
            const samples = leaseSamples({ ...sizing, left, microBatch, samplesPerSecond, present });
            expect(samples).toBeGreaterThan(0);
            expect(samples).toBeLessThanOrEqual(left);
            if (samples < left) expect(samples % microBatch).toBe(0);
            left -= samples;
          }
        },
      ),
    );
  });
});
