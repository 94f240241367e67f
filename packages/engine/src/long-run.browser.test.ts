// A long run on WebGPU holds what a short one holds: buffers that live and their bytes, tensors, and what TensorFlow.js says of the GPU.
// Counts, not the process's size. A missing adapter fails.
import * as tf from "@tensorflow/tfjs-core";
import { probeBatch, probeWeights } from "@weft/models";
import type { ModelSpec } from "@weft/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
import { watchBuffers } from "../test/live-buffers.ts";
import { createEngine, type Engine } from "./index.ts";

const MODEL: ModelSpec = { kind: "mlp", inputs: 8, hidden: [12], classes: 4 };
const ROWS = 4;

let engine: Engine;
let buffers: ReturnType<typeof watchBuffers>;
beforeAll(async () => {
  buffers = watchBuffers();
  engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
  await engine.load(MODEL, ROWS);
}, 60_000);
afterAll(() => {
  engine.dispose();
  buffers.restore();
});

it("2,000 steps of an mlp hold as many buffers, bytes and tensors as 20, new weights and batches at each", {
  timeout: 240_000,
}, async () => {
  const weights = [probeWeights(MODEL, 1), probeWeights(MODEL, 2)] as const;
  const batches = [probeBatch(MODEL, ROWS, ROWS, 3), probeBatch(MODEL, ROWS, ROWS - 1, 4)] as const;
  const losses = new Set<number>();
  const run = async (steps: number) => {
    for (let step = 0; step < steps; step++) {
      await engine.setWeights(weights[(step % 2) as 0 | 1]);
      losses.add((await engine.step(batches[(step % 2) as 0 | 1])).lossSum);
    }
    return { ...buffers.now(), ...tf.memory(), ...tf.backend().memory() };
  };
  const early = await run(20);
  expect(early.count).toBeGreaterThan(10);
  expect(await run(1_980)).toEqual(early);
  // Each of the two steps is the same each time it is made.
  expect(losses.size).toBe(2);
});
