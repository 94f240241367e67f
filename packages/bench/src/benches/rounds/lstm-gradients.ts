// The gradients of the engine's LSTM on WASM beside those of a reference, for seeded weights as a run begins with and for seeded windows.
import { createEngine } from "@weft/engine";
import { initialWeights, probeBatch } from "@weft/models";
import type { LstmSpec } from "@weft/protocol";
import { differenceFrom, lstmReference } from "./lstm-reference.ts";

const SEED = 11;
const WINDOWS = 2;

export async function lstmGradients(model: LstmSpec): Promise<{ difference: number; parameters: number; windows: number }> {
  const weights = initialWeights(model, SEED);
  // The last row is padding, which must count for nothing.
  const batch = probeBatch(model, WINDOWS + 1, WINDOWS, SEED);
  const engine = await createEngine({ preference: "wasm", allowSoftwareGpu: false });
  try {
    await engine.load(model, batch.rows);
    await engine.setWeights(weights);
    const found = await engine.step(batch);
    return { difference: differenceFrom(lstmReference(model, weights, batch), found), parameters: weights.length, windows: WINDOWS };
  } finally {
    engine.dispose();
  }
}
