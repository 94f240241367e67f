// The engine on the backends that Node has, held against the f64 reference.

import * as tf from "@tensorflow/tfjs-core";
import { initialWeights, probeBatch, probeWeights } from "@weft/models";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { relativeError, SMALL_MODELS } from "../../models/test/cases.ts";
import { reference } from "../../models/test/reference-models.ts";
import { createEngine, type Engine } from "./index.ts";

describe.each(["cpu", "wasm"] as const)("the engine on %s", { timeout: 60_000 }, (preference) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createEngine({ preference, allowSoftwareGpu: false });
  });
  afterAll(() => engine.dispose());

  for (const [name, model] of Object.entries(SMALL_MODELS)) {
    it(`${name}: loss and gradient agree with the f64 reference to 1e-5, padding left out`, async () => {
      const weights = probeWeights(model, 11);
      const batch = probeBatch(model, 5, 3, 12);
      const expected = reference(model, weights, batch);
      await engine.load(model, batch.rows);
      expect(engine.device.backend).toBe(preference);
      await engine.setWeights(weights);
      const { lossSum, gradientSum } = await engine.step(batch);
      expect(relativeError([lossSum], [expected.lossSum])).toBeLessThan(1e-5);
      expect(relativeError(gradientSum, expected.gradientSum)).toBeLessThan(1e-5);
    });

    it(`${name}: evaluation agrees with the f64 reference`, async () => {
      const weights = probeWeights(model, 21);
      const batch = probeBatch(model, 6, 6, 22);
      const expected = reference(model, weights, batch);
      await engine.load(model, 4);
      await engine.setWeights(weights);
      expect(relativeError(await engine.logits(batch.inputs, batch.rows), expected.logits)).toBeLessThan(1e-5);
      const width = expected.logits.length / batch.targets.length;
      const right = batch.targets.filter((target, index) => {
        const row = expected.logits.slice(index * width, (index + 1) * width);
        return row.indexOf(Math.max(...row)) === target;
      });
      const result = await engine.evaluate(batch);
      expect(relativeError([result.lossSum], [expected.lossSum])).toBeLessThan(1e-5);
      expect(result.correct).toBe(right.length);
      expect(result.predictions).toBe(batch.targets.length);
    });

    // The CPU backend is for tests alone, and slow.
    const many = preference === "wasm" ? 2_000 : 50;
    it(`${name}: ${many} steps hold no more memory than a few`, async () => {
      const batch = probeBatch(model, 4, 3, 32);
      const weights = initialWeights(model, 1);
      await engine.load(model, batch.rows);
      const heldAfter = async (steps: number): Promise<tf.MemoryInfo> => {
        for (let step = 0; step < steps; step++) {
          await engine.setWeights(weights);
          await engine.step(batch);
        }
        return tf.memory();
      };
      const early = await heldAfter(Math.min(20, many / 10));
      if (preference === "wasm") expect(early).toMatchObject({ numBytesAllocated: expect.any(Number), numBytesUsed: expect.any(Number) });
      expect(await heldAfter(many)).toEqual(early);
    });
  }

  it("passes its self-test and leaves the loaded model alone", async () => {
    const model = SMALL_MODELS.mlp;
    const batch = probeBatch(model, 4, 4, 42);
    await engine.load(model, 4);
    await engine.setWeights(probeWeights(model, 41));
    const before = await engine.step(batch);
    const result = await engine.selfTest();
    expect(result).toMatchObject({ passed: true });
    expect(result.relativeError).toBeLessThan(1e-5);
    expect(await engine.step(batch)).toEqual(before);
  });

  it("refuses a batch of another size, weights of another model, and steps before weights", async () => {
    const model = SMALL_MODELS.mlp;
    await engine.load(SMALL_MODELS.gpt, 4);
    await engine.load(model, 4);
    await expect(engine.step(probeBatch(model, 4, 4, 1))).rejects.toThrow(/before setWeights/);
    await expect(engine.setWeights(new Float32Array(3))).rejects.toThrow(/3 weights/);
    await engine.setWeights(probeWeights(model, 1));
    await expect(engine.step(probeBatch(model, 3, 3, 1))).rejects.toThrow(/3 rows/);
  });

  it("reads windows shorter than the context", async () => {
    const model = SMALL_MODELS.gpt;
    const weights = probeWeights(model, 51);
    await engine.load(model, 2);
    await engine.setWeights(weights);
    const tokens = Int32Array.from([3, 1, 4, 1, 5, 9]);
    const whole = await engine.logits(tokens, 1);
    const part = await engine.logits(tokens.slice(0, 4), 1);
    expect(relativeError(part, whole.slice(0, part.length))).toBeLessThan(1e-5);
  });
});

describe("choosing a backend", () => {
  it("refuses WebGPU where there is none, and says so", async () => {
    await expect(createEngine({ preference: "webgpu", allowSoftwareGpu: true })).rejects.toMatchObject({ code: "no-webgpu" });
  });
  it("falls back from WebGPU to WASM", async () => {
    const wasm = await createEngine({ preference: "auto", allowSoftwareGpu: true });
    expect(wasm.device).toMatchObject({ backend: "wasm", software: false });
    expect(wasm.device.description).toContain("SIMD");
  });
  it.each([
    ["a gpt", SMALL_MODELS.gpt],
    // A GPU's fused attention leaves such to plain operations; WASM has none to leave them to.
    ["a gpt whose head is wider than 128", { ...SMALL_MODELS.gpt, layers: 1, heads: 1, width: 132 }],
  ])("two engines on different backends work side by side, on %s", async (_, model) => {
    const weights = probeWeights(model, 61);
    const batch = probeBatch(model, 4, 4, 62);
    const engines = await Promise.all(
      (["cpu", "wasm"] as const).map((preference) => createEngine({ preference, allowSoftwareGpu: false })),
    );
    const results = await Promise.all(
      engines.map(async (engine) => {
        await engine.load(model, 4);
        await engine.setWeights(weights);
        return engine.step(batch);
      }),
    );
    expect(relativeError(results[0]?.gradientSum ?? [], results[1]?.gradientSum ?? [])).toBeLessThan(1e-5);
  });
});
