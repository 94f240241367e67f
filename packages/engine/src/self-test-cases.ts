// What a device must compute before it is trusted: four tiny models whose steps use every operation of the zoo. Weights and batches
// come from seeds; their gradients stand in self-test-goldens.ts. Changing anything here means making those again.
import { probeBatch, probeWeights } from "@weft/models";
import type { ModelSpec } from "@weft/protocol";
import type { Batch } from "@weft/tensors";

export interface SelfTestCase {
  readonly model: ModelSpec;
  readonly weights: () => Float32Array;
  readonly batch: () => Batch;
}

const ROWS = 4;
/** One row is padding: a device that ignores weights is found out. */
const SAMPLES = 3;

const caseOf = (model: ModelSpec, seed: number): SelfTestCase => ({
  model,
  weights: () => probeWeights(model, seed),
  batch: () => probeBatch(model, ROWS, SAMPLES, seed),
});

export const SELF_TEST_CASES = {
  mlp: caseOf({ kind: "mlp", inputs: 8, hidden: [12], classes: 10 }, 101),
  cnn: caseOf({ kind: "cnn", height: 9, width: 6, inChannels: 1, channels: [4, 3], kernel: 3, hidden: 8, classes: 5 }, 102),
  gpt: caseOf({ kind: "gpt", vocabulary: 13, context: 8, layers: 1, heads: 2, width: 8, bias: false, gelu: "exact" }, 103),
  lstm: caseOf({ kind: "lstm", vocabulary: 9, context: 5, embedding: 3, layers: 2, hidden: 6 }, 104),
} as const satisfies Record<ModelSpec["kind"], SelfTestCase>;
