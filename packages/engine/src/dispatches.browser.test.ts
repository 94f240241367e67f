// What a step of the convolutional and of the recurrent model asks of WebGPU, and how many pipelines a gpt: counts, never times. A missing adapter fails.
import * as tf from "@tensorflow/tfjs-core";
import { probeBatch, probeWeights } from "@weft/models";
import type { ModelSpec } from "@weft/protocol";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { SMALL_MODELS } from "../../models/test/cases.ts";
import { type Counts, countCalls } from "../test/count-calls.ts";
import { createEngine, type Engine } from "./index.ts";

/** The CNN for MNIST and the LSTM for Shakespeare of McMahan et al. (1602.05629), both narrower: width does not change what is asked. */
const CNN: ModelSpec = { kind: "cnn", height: 28, width: 28, inChannels: 1, channels: [8, 16], kernel: 5, hidden: 64, classes: 10 };
const LSTM = { kind: "lstm", vocabulary: 90, context: 80, embedding: 8, layers: 2, hidden: 32 } as const;

/** The labels of the pipelines that are made while `run` runs. */
async function pipelinesMade(run: () => Promise<void>): Promise<readonly string[]> {
  const spies = [vi.spyOn(GPUDevice.prototype, "createComputePipelineAsync"), vi.spyOn(GPUDevice.prototype, "createComputePipeline")];
  try {
    await run();
    return spies.flatMap(({ mock }) => mock.calls.map(([{ label }]) => label ?? ""));
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

describe("until its first step on WebGPU", { timeout: 90_000 }, () => {
  // Each takes a software adapter longer to compile than all other kernels together.
  it("a gpt makes two pipelines for its matrix products, self-test included, and none twice", async () => {
    const model: ModelSpec = { ...SMALL_MODELS.gpt, gelu: "tanh" };
    const made = await pipelinesMade(async () => {
      const engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
      expect(await engine.selfTest()).toMatchObject({ passed: true });
      await engine.load(model, 4);
      await engine.setWeights(probeWeights(model, 5));
      await engine.step(probeBatch(model, 4, 4, 6));
      engine.dispose();
    });
    expect(made.filter((label) => label.includes("matmul"))).toEqual(["weft matmul any f32 f32 linear", "weft matmul any f32 f32 gelu"]);
    expect(new Set(made).size).toBe(made.length);
  });
});

describe("a step on WebGPU", { timeout: 90_000 }, () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
  });
  afterAll(() => engine.dispose());

  /** Of a replayed step, new weights included. */
  async function countStep(model: ModelSpec, rows: number): Promise<Counts> {
    await engine.load(model, rows);
    const step = async (seed: number): Promise<void> => {
      await engine.setWeights(probeWeights(model, seed));
      await engine.step(probeBatch(model, rows, rows, seed + 1));
    };
    await step(1);
    return countCalls(() => step(3));
  }

  it("of the cnn of ten images is 15 dispatches, in one submit with the read-back, with one map", async () => {
    const counts = await countStep(CNN, 10);
    expect(counts).toMatchObject({ dispatches: 15, submits: 1, maps: 1, pipelines: 0, asyncPipelines: 0, bindGroups: 0, buffers: 0 });
  });

  it("of an lstm of two layers, unrolled eighty times, is two dispatches a place and layer and at most forty others, with one map", async () => {
    const counts = await countStep(LSTM, 10);
    const recurrent = 2 * LSTM.layers * LSTM.context;
    expect(counts.dispatches).toBeGreaterThan(recurrent);
    expect(counts.dispatches).toBeLessThanOrEqual(recurrent + 40);
    expect(counts.submits).toBeLessThanOrEqual(Math.ceil(counts.dispatches / 16));
    expect(counts).toMatchObject({ maps: 1, pipelines: 0, asyncPipelines: 0, bindGroups: 0, buffers: 0 });
  });

  it.each(["cnn", "lstm"] as const)("of a small %s holds after fifty what it held after two", async (kind) => {
    const model = SMALL_MODELS[kind];
    await engine.load(model, 4);
    await engine.setWeights(probeWeights(model, 5));
    const batch = probeBatch(model, 4, 3, 6);
    await engine.step(batch);
    const second = await engine.step(batch);
    const held = { ...tf.memory(), ...tf.backend().memory() };
    for (let step = 2; step < 50; step++) await engine.step(batch);
    expect({ ...tf.memory(), ...tf.backend().memory() }).toEqual(held);
    expect(await engine.step(batch)).toEqual(second);
  });
});
