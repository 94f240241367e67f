// On WebGPU, what stands in for a fused kernel that a device gets wrong is right too. A missing adapter fails.
import { probeBatch, probeWeights } from "@weft/models";
import { restoreKernel, strikeKernel } from "@weft/webgpu";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { relativeError, SMALL_MODELS } from "../../models/test/cases.ts";
import { reference } from "../../models/test/reference-models.ts";
import { countCalls } from "../test/count-calls.ts";
import { createEngine, type Engine } from "./index.ts";

describe("without its fused kernel", { timeout: 90_000 }, () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
  });
  afterAll(() => engine.dispose());

  it.each([
    ["cnn", "WeftConvolutionBlock"],
    ["lstm", "WeftLstm"],
  ] as const)("a step of the %s takes more dispatches and agrees with the f64 reference to 1e-5", async (kind, kernel) => {
    const model = SMALL_MODELS[kind];
    const [weights, batch] = [probeWeights(model, 15), probeBatch(model, 4, 3, 16)];
    const step = async () => {
      await engine.load(SMALL_MODELS.mlp, 1);
      await engine.load(model, batch.rows);
      await engine.setWeights(weights);
      let gradient = new Float32Array();
      const { dispatches } = await countCalls(async () => {
        gradient = Float32Array.from((await engine.step(batch)).gradientSum);
      });
      return { dispatches, error: relativeError(gradient, reference(model, weights, batch).gradientSum) };
    };
    const fused = await step();
    strikeKernel(kernel);
    try {
      const plain = await step();
      expect(plain.dispatches).toBeGreaterThan(1.5 * fused.dispatches);
      expect(plain.error).toBeLessThan(1e-5);
      expect(fused.error).toBeLessThan(1e-5);
    } finally {
      restoreKernel(kernel);
    }
  });
});
