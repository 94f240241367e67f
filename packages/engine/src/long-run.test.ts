// A long run in WASM holds what a short one holds: tensors and their bytes, and the linear memory with what of it is in use. Counts, not the
// process's size.
import * as tf from "@tensorflow/tfjs-core";
import { probeBatch, probeWeights } from "@weft/models";
import type { ModelSpec } from "@weft/protocol";
import { expect, it } from "vitest";
import { createEngine } from "./index.ts";

const MODEL: ModelSpec = { kind: "mlp", inputs: 8, hidden: [12], classes: 4 };
const ROWS = 4;

it("2,000 steps of an mlp hold as much as 20, new weights at each", { timeout: 60_000 }, async () => {
  const engine = await createEngine({ preference: "wasm", allowSoftwareGpu: false });
  await engine.load(MODEL, ROWS);
  const batch = probeBatch(MODEL, ROWS, ROWS, 3);
  const run = async (steps: number) => {
    for (let step = 0; step < steps; step++) {
      await engine.setWeights(probeWeights(MODEL, step % 3));
      await engine.step(batch);
    }
    return { ...tf.memory(), ...tf.backend().memory() };
  };
  const early = await run(20);
  expect(early).toMatchObject({ numBytesAllocated: expect.any(Number) });
  expect(await run(1_980)).toEqual(early);
  engine.dispose();
});
