// The f64 reference against itself: its gradient must be the slope of its loss in any direction.
import { randomStream } from "@weft/tensors";
import { describe, expect, it } from "vitest";
import { probeBatch, probeWeights } from "../src/probe.ts";
import { SMALL_MODELS } from "./cases.ts";
import { reference } from "./reference-models.ts";
import { erf } from "./scalar-tape.ts";

describe("the f64 reference", () => {
  it("knows erf", () => {
    expect(erf(0.5)).toBeCloseTo(0.5204998778130465, 14);
    expect(erf(-1.5)).toBeCloseTo(-0.9661051464753108, 14);
    expect(erf(3)).toBeCloseTo(0.9999779095030014, 14);
  });

  for (const [name, model] of Object.entries(SMALL_MODELS))
    it(`${name}: its gradient agrees with central differences in three random directions to 1e-6`, () => {
      const weights = Float64Array.from(probeWeights(model, 5));
      const batch = probeBatch(model, 3, 2, 6);
      const { gradientSum } = reference(model, weights, batch);
      for (let seed = 1; seed <= 3; seed++) {
        const stream = randomStream(seed, 2);
        const direction = Float64Array.from(weights, () => stream.normal());
        const step = 1e-6;
        const moved = (sign: number): number =>
          reference(
            model,
            weights.map((value, index) => value + sign * step * (direction[index] as number)),
            batch,
          ).lossSum;
        const slope = (moved(1) - moved(-1)) / (2 * step);
        const expected = gradientSum.reduce((sum, value, index) => sum + value * (direction[index] as number), 0);
        expect(Math.abs(slope - expected) / Math.abs(expected)).toBeLessThan(1e-6);
      }
    });
});
