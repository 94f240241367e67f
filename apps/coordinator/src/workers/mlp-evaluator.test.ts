// The plain mlp gives what the engine gives.
import { createEngine } from "@weft/engine";
import { initialWeights, probeBatch } from "@weft/models";
import { expect, test } from "vitest";
import { mlpEvaluator } from "./mlp-evaluator.ts";

test.each([
  { kind: "mlp", inputs: 6, hidden: [], classes: 3 },
  { kind: "mlp", inputs: 64, hidden: [32], classes: 10 },
  { kind: "mlp", inputs: 20, hidden: [17, 9], classes: 4 },
] as const)("an mlp of hidden layers $hidden scores as on the engine", async (spec) => {
  const model = { ...spec, hidden: [...spec.hidden] };
  const weights = initialWeights(model, 5);
  const batch = probeBatch(model, 8, 7, 3);
  const engine = await createEngine({ preference: "cpu", allowSoftwareGpu: false });
  try {
    await engine.load(model, batch.rows);
    await engine.setWeights(weights);
    const [plain, expected] = [await mlpEvaluator(model, weights).evaluate(batch), await engine.evaluate(batch)];
    expect(plain.lossSum).toBeCloseTo(expected.lossSum, 4);
    expect([plain.correct, plain.predictions]).toEqual([expected.correct, expected.predictions]);
  } finally {
    engine.dispose();
  }
});
