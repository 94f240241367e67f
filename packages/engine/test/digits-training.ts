// One training of the embedded digits, for every backend: the same batches from one seed, and the coordinator's SGD with momentum.
import { initialWeights } from "@weft/models";
import type { ModelSpec } from "@weft/protocol";
import { type Batch, randomStream } from "@weft/tensors";
import { datasetReader, embeddedDataset, type ReadEmbedded } from "../../datasets/src/index.ts";
import type { Engine } from "../src/index.ts";

const MODEL: ModelSpec = { kind: "mlp", inputs: 64, hidden: [32], classes: 10 };
const ROWS = 32;
const STEPS = 300;

export const HELD_OUT_IMAGES = 359;

export interface DigitsLesson {
  readonly batches: readonly Batch[];
  readonly heldOut: Batch;
}

export async function digitsLesson(readFile: ReadEmbedded): Promise<DigitsLesson> {
  const { manifest, shards } = await embeddedDataset("digits", readFile);
  const all = [...manifest.train, ...manifest.heldOut];
  const blobs = { get: async (sha256: string) => shards[all.findIndex((shard) => shard.sha256 === sha256)] as Uint8Array };
  const train = datasetReader(manifest, blobs, "train");
  const stream = randomStream(17, 0);
  const draw = () => Array.from({ length: ROWS }, () => Math.floor(stream.uniform() * train.samples));
  const batches = await Promise.all(Array.from({ length: STEPS }, () => train.images(draw(), ROWS)));
  const test = datasetReader(manifest, blobs, "heldOut");
  const everything = Array.from({ length: test.samples }, (_, index) => index);
  return { batches, heldOut: await test.images(everything, test.samples) };
}

/** Accuracy and mean loss on the held-out images after the last batch. */
export async function trainedOnDigits(engine: Engine, { batches, heldOut }: DigitsLesson) {
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
  return { accuracy: correct / predictions, loss: lossSum / predictions };
}
