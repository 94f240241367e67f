// The plain gradient is the engine's.
import { createEngine } from "@weft/engine";
import { initialWeights, probeBatch } from "@weft/models";
import { expect, test } from "vitest";
import { mlpStep } from "./mlp-engine.ts";

test.each([
  { hidden: [], inputs: 6, classes: 3 },
  { hidden: [32], inputs: 64, classes: 10 },
  { hidden: [17, 9], inputs: 20, classes: 4 },
])("an mlp of hidden layers $hidden has the engine's loss and gradient", async (shape) => {
  const model = { kind: "mlp" as const, ...shape };
  const weights = initialWeights(model, 5);
  const batch = probeBatch(model, 8, 6, 3);
  const engine = await createEngine({ preference: "cpu", allowSoftwareGpu: false });
  try {
    await engine.load(model, batch.rows);
    await engine.setWeights(weights);
    const [plain, expected] = [mlpStep(model, weights, batch), await engine.step(batch)];
    expect(plain.lossSum).toBeCloseTo(expected.lossSum, 3);
    const size = Math.hypot(...expected.gradientSum);
    expect(Math.hypot(...plain.gradientSum.map((value, at) => value - (expected.gradientSum[at] as number))) / size).toBeLessThan(1e-5);
  } finally {
    engine.dispose();
  }
});
