// A model trained on the embedded digits from one seed: WASM and the plain JavaScript backend come to the same accuracy.
import { readFile } from "node:fs/promises";
import { initialWeights } from "@weft/models";
import type { ModelSpec } from "@weft/protocol";
import { type Batch, randomStream } from "@weft/tensors";
import { beforeAll, expect, it } from "vitest";
import { datasetReader, embeddedDataset } from "../../datasets/src/index.ts";
import { createEngine } from "./index.ts";

const MODEL: ModelSpec = { kind: "mlp", inputs: 64, hidden: [32], classes: 10 };
const ROWS = 32;
const STEPS = 300;
const FOLDER = new URL("../../datasets/embedded/", import.meta.url);

let batches: readonly Batch[];
let heldOut: Batch;
beforeAll(async () => {
  const { manifest, shards } = await embeddedDataset("digits", async (path) => new Uint8Array(await readFile(new URL(path, FOLDER))));
  const all = [...manifest.train, ...manifest.heldOut];
  const blobs = { get: async (sha256: string) => shards[all.findIndex((shard) => shard.sha256 === sha256)] as Uint8Array };
  const train = datasetReader(manifest, blobs, "train");
  const stream = randomStream(17, 0);
  const draw = () => Array.from({ length: ROWS }, () => Math.floor(stream.uniform() * train.samples));
  batches = await Promise.all(Array.from({ length: STEPS }, () => train.images(draw(), ROWS)));
  const test = datasetReader(manifest, blobs, "heldOut");
  heldOut = await test.images(
    Array.from({ length: test.samples }, (_, index) => index),
    test.samples,
  );
});

/** SGD with momentum, as the coordinator would do it: accuracy and loss on what was held out, and the weights. */
async function trained(preference: "wasm" | "cpu") {
  const engine = await createEngine({ preference, allowSoftwareGpu: false });
  await engine.load(MODEL, ROWS);
  let weights = initialWeights(MODEL, 5);
  const velocity = new Float32Array(weights.length);
  for (const batch of batches) {
    await engine.setWeights(weights);
    const { gradientSum } = await engine.step(batch);
    weights = weights.map((weight, index) => {
      velocity[index] = 0.9 * (velocity[index] as number) + (gradientSum[index] as number) / ROWS;
      return weight - 0.1 * (velocity[index] as number);
    });
  }
  await engine.setWeights(weights);
  const { correct, predictions, lossSum } = await engine.evaluate(heldOut);
  engine.dispose();
  return { accuracy: correct / predictions, loss: lossSum / predictions };
}

it("digits: WASM and CPU, from the same seed, learn the same", { timeout: 60_000 }, async () => {
  const [wasm, cpu] = [await trained("wasm"), await trained("cpu")];
  expect(cpu.accuracy).toBeGreaterThan(0.93);
  // Roundings differ, and a handful of the 359 images lies near a border.
  expect(Math.abs(wasm.accuracy - cpu.accuracy)).toBeLessThanOrEqual(3 / 359);
  expect(Math.abs(wasm.loss - cpu.loss)).toBeLessThan(0.01);
});
