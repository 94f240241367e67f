// The engine on WebGPU in a real browser, held against the f64 reference. A missing adapter fails: nothing here is skipped.
import * as tf from "@tensorflow/tfjs-core";
import { initialWeights, probeBatch, probeWeights } from "@weft/models";
import type { StepResult } from "@weft/tensors";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { relativeError, SMALL_MODELS } from "../../models/test/cases.ts";
import { reference } from "../../models/test/reference-models.ts";
import { countCalls } from "../test/count-calls.ts";
import { createEngine, type Engine } from "./index.ts";

/** Shaders compile slowly on a software adapter of a busy machine; nothing here judges speed. */
const TIMEOUT_MS = 90_000;

describe("the engine on WebGPU", { timeout: TIMEOUT_MS }, () => {
  let engine: Engine;
  beforeAll(async () => {
    expect(navigator.gpu, "this browser has no WebGPU: see the flags in vite.config.ts").toBeDefined();
    expect(await navigator.gpu.requestAdapter(), "WebGPU gave no adapter: see the flags in vite.config.ts").not.toBeNull();
    engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
  });
  afterAll(() => engine.dispose());

  it("passes its self-test on TensorFlow.js's webgpu backend", async () => {
    const result = await engine.selfTest();
    expect(result).toMatchObject({ passed: true });
    expect(result.relativeError).toBeLessThan(1e-5);
    expect(tf.getBackend()).toBe("webgpu");
    expect(engine.device.backend).toBe("webgpu");
  });

  for (const [name, model] of Object.entries(SMALL_MODELS)) {
    it(`${name}: loss, gradient and logits agree with the f64 reference to 1e-5, padding left out`, async () => {
      const weights = probeWeights(model, 11);
      const batch = probeBatch(model, 5, 3, 12);
      const expected = reference(model, weights, batch);
      await engine.load(model, batch.rows);
      await engine.setWeights(weights);
      const { lossSum, gradientSum } = await engine.step(batch);
      expect(relativeError([lossSum], [expected.lossSum])).toBeLessThan(1e-5);
      expect(relativeError(gradientSum, expected.gradientSum)).toBeLessThan(1e-5);
      const logits = await engine.logits(batch.inputs, batch.rows);
      expect(relativeError(logits.slice(0, expected.logits.length), expected.logits)).toBeLessThan(1e-5);
      expect(engine.device.backend).toBe("webgpu");
      expect(tf.getBackend()).toBe("webgpu");
    });
  }

  for (const name of ["mlp", "gpt"] as const) {
    const model = SMALL_MODELS[name];
    it(`${name}: fifty steps hold no more tensors and no more bytes of the GPU than five`, async () => {
      const batch = probeBatch(model, 4, 3, 32);
      await engine.load(model, batch.rows);
      const run = async (steps: number) => {
        for (let step = 0; step < steps; step++) {
          await engine.setWeights(initialWeights(model, step));
          await engine.step(batch);
        }
        const { numTensors } = tf.memory();
        const { numBytesInGPU, numBytesAllocatedInGPU } = tf.backend().memory() as {
          numBytesInGPU?: number;
          numBytesAllocatedInGPU?: number;
        };
        return { numTensors, numBytesInGPU, numBytesAllocatedInGPU };
      };
      const early = await run(5);
      expect(early.numBytesAllocatedInGPU).toBeGreaterThan(0);
      expect(await run(45)).toEqual(early);
    });
  }

  it("a gpt wide enough for the tiled matrix product agrees with the CPU engine to 1e-5", async () => {
    const model = { ...SMALL_MODELS.gpt, vocabulary: 70, context: 16, layers: 1, width: 64 } as const;
    const batch = probeBatch(model, 4, 3, 92);
    const weights = initialWeights(model, 91);
    const cpu = await createEngine({ preference: "cpu", allowSoftwareGpu: false });
    const results: StepResult[] = [];
    for (const each of [cpu, engine]) {
      await each.load(model, batch.rows);
      await each.setWeights(weights);
      results.push(await each.step(batch));
    }
    expect(relativeError([results[1]?.lossSum ?? 0], [results[0]?.lossSum ?? 0])).toBeLessThan(1e-5);
    expect(relativeError(results[1]?.gradientSum ?? [], results[0]?.gradientSum ?? [])).toBeLessThan(1e-5);
  });

  it("computes the same again after new weights and back", async () => {
    const model = SMALL_MODELS.gpt;
    const batch = probeBatch(model, 4, 4, 72);
    await engine.load(model, 4);
    await engine.setWeights(probeWeights(model, 71));
    const first = await engine.step(batch);
    await engine.setWeights(probeWeights(model, 73));
    const other = await engine.step(batch);
    await engine.setWeights(probeWeights(model, 71));
    expect(await engine.step(batch)).toEqual(first);
    expect(relativeError(other.gradientSum, first.gradientSum)).toBeGreaterThan(0.01);
  });
});

describe("the recorded step", { timeout: TIMEOUT_MS }, () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
  });
  afterAll(() => engine.dispose());

  for (const [name, model] of Object.entries(SMALL_MODELS))
    it(`${name}: replayed on new batches and weights it gives what a first, unrecorded step gives`, async () => {
      const other = name === "mlp" ? SMALL_MODELS.gpt : SMALL_MODELS.mlp;
      const drawn = (seed: number) => ({ weights: probeWeights(model, seed), batch: probeBatch(model, 4, 3, seed + 1) });
      const stepOn = async (seed: number): Promise<StepResult> => {
        const { weights, batch } = drawn(seed);
        await engine.setWeights(weights);
        return engine.step(batch);
      };
      const seeds = [201, 211, 221];
      await engine.load(model, 4);
      await stepOn(199);
      const replayed: StepResult[] = [];
      for (const seed of seeds) replayed.push(await stepOn(seed));
      for (const [index, seed] of seeds.entries()) {
        await engine.load(other, 4);
        await engine.load(model, 4);
        const first = await stepOn(seed);
        expect(relativeError(replayed[index]?.gradientSum ?? [], first.gradientSum)).toBeLessThan(1e-6);
        expect(relativeError([replayed[index]?.lossSum ?? 0], [first.lossSum])).toBeLessThan(1e-6);
      }
    });

  it("gpt of two layers: at most 76 dispatches, in submits of 16, one map; nothing compiled, bound or allocated after the first step", async () => {
    const model = { ...SMALL_MODELS.gpt, layers: 2, gelu: "tanh" } as const;
    await engine.load(model, 4);
    await engine.setWeights(probeWeights(model, 1));
    await engine.step(probeBatch(model, 4, 4, 2));
    const counted = await countCalls(async () => {
      await engine.setWeights(probeWeights(model, 3));
      await engine.step(probeBatch(model, 4, 4, 4));
    });
    expect(counted.dispatches).toBeGreaterThan(30);
    expect(counted.dispatches).toBeLessThanOrEqual(76);
    expect(counted.submits).toBeLessThanOrEqual(Math.ceil(counted.dispatches / 16));
    expect(counted).toMatchObject({ maps: 1, pipelines: 0, bindGroups: 0, buffers: 0 });
  });

  it("gpt: two hundred steps hold what the second held, and a disposed engine leaves another one whole", async () => {
    const model = SMALL_MODELS.gpt;
    await engine.load(model, 4);
    const batch = probeBatch(model, 4, 4, 32);
    await engine.setWeights(probeWeights(model, 31));
    await engine.step(batch);
    const first = await engine.step(batch);
    const held = { ...tf.memory(), ...tf.backend().memory() };
    for (let step = 0; step < 200; step++) await engine.step(batch);
    expect({ ...tf.memory(), ...tf.backend().memory() }).toEqual(held);
    expect(await engine.step(batch)).toEqual(first);
    engine.dispose();
    engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
    await engine.load(model, 4);
    await engine.setWeights(probeWeights(model, 31));
    expect(await engine.step(batch)).toEqual(first);
    expect(await engine.step(batch)).toEqual(first);
  });
});

describe("a device that gets a fused kernel wrong", { timeout: TIMEOUT_MS }, () => {
  it("is found out, does without that kernel, names it and trains rightly", async () => {
    const engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
    const name = "WeftLinearGradient";
    const right = tf.getKernel(name, "webgpu");
    tf.unregisterKernel(name, "webgpu");
    // The first gradient with the wrong sign: plausible in size, and wrong.
    tf.registerKernel({
      ...right,
      kernelFunc: (params) => {
        const [first, ...rest] = right.kernelFunc(params) as tf.TensorInfo[];
        return [tf.neg(tf.engine().makeTensorFromTensorInfo(first as tf.TensorInfo)), ...rest];
      },
    });
    const model = SMALL_MODELS.gpt;
    await engine.load(model, 4);
    expect(tf.getKernel("WeftLinear", "webgpu") ?? null).toBeNull();
    expect(tf.getKernel("WeftAttention", "webgpu") ?? null).not.toBeNull();
    const result = await engine.selfTest();
    expect(result.passed).toBe(true);
    expect(result.detail).toContain("without WeftLinear");
    const [weights, batch] = [probeWeights(model, 301), probeBatch(model, 4, 3, 302)];
    await engine.setWeights(weights);
    expect(relativeError((await engine.step(batch)).gradientSum, reference(model, weights, batch).gradientSum)).toBeLessThan(1e-5);
    engine.dispose();
    const next = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
    expect(tf.getKernel("WeftLinear", "webgpu") ?? null).not.toBeNull();
    next.dispose();
  });
});

describe("a software adapter", () => {
  it("counts as none unless it is allowed", async () => {
    await expect(createEngine({ preference: "webgpu", allowSoftwareGpu: false })).rejects.toMatchObject({
      code: "no-webgpu",
      message: expect.stringContaining("software"),
    });
  });
});
