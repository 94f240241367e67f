// Small models and seeded batches for checks: every operation of the zoo takes part, no extent equals another by chance.
import type { ModelSpec } from "@weft/protocol";
import { type Batch, randomStream } from "@weft/tensors";
import { layoutFor, outputsOf, sampleLength } from "../src/layout.ts";

export const SMALL_MODELS = {
  mlp: { kind: "mlp", inputs: 12, hidden: [9, 7], classes: 5 },
  cnn: { kind: "cnn", height: 9, width: 7, inChannels: 2, channels: [3, 5], kernel: 3, hidden: 6, classes: 4 },
  gpt: { kind: "gpt", vocabulary: 11, context: 6, layers: 2, heads: 2, width: 8, bias: false, gelu: "exact" },
  "gpt with biases and tanh": { kind: "gpt", vocabulary: 11, context: 6, layers: 1, heads: 4, width: 8, bias: true, gelu: "tanh" },
} as const satisfies Record<string, ModelSpec>;

/** Weights away from all symmetry (biases and gains too), so that no gradient is zero by accident. */
export function randomWeights(model: ModelSpec, seed: number): Float32Array {
  const stream = randomStream(seed, 0);
  const layout = layoutFor(model);
  const flat = new Float32Array(layout.size);
  for (const { name, offset, size } of layout.parameters) {
    const centre = /ln_(?:1|2|f)\.weight$/.test(name) ? 1 : 0;
    for (let at = offset; at < offset + size; at++) flat[at] = centre + 0.3 * stream.normal();
  }
  return flat;
}

/** `samples` real rows, then padding up to `rows` whose values are not zero: only their weight keeps them out. */
export function randomBatch(model: ModelSpec, rows: number, samples: number, seed: number): Batch {
  const stream = randomStream(seed, 1);
  const length = rows * sampleLength(model);
  const whole = (below: number): number => Math.floor(stream.uniform() * below);
  const text = model.kind === "gpt";
  return {
    rows,
    inputs: text ? Int32Array.from({ length }, () => whole(model.vocabulary)) : Float32Array.from({ length }, () => stream.normal()),
    targets: Int32Array.from({ length: text ? length : rows }, () => whole(outputsOf(model))),
    weights: Float32Array.from({ length: rows }, (_, row) => (row < samples ? 1 : 0)),
  };
}

/** Norm of the difference over the norm of `expected`. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let norm = 0;
  for (let index = 0; index < expected.length; index++) {
    difference += ((actual[index] as number) - (expected[index] as number)) ** 2;
    norm += (expected[index] as number) ** 2;
  }
  return Math.sqrt(difference / norm);
}
