// Small models for checks: every operation of the zoo takes part, no extent equals another by chance.
import type { ModelSpec } from "@weft/protocol";

export const SMALL_MODELS = {
  mlp: { kind: "mlp", inputs: 12, hidden: [9, 7], classes: 5 },
  cnn: { kind: "cnn", height: 9, width: 7, inChannels: 2, channels: [3, 5], kernel: 3, hidden: 6, classes: 4 },
  gpt: { kind: "gpt", vocabulary: 11, context: 6, layers: 2, heads: 2, width: 8, bias: false, gelu: "exact" },
  "gpt with biases and tanh": { kind: "gpt", vocabulary: 11, context: 6, layers: 1, heads: 4, width: 8, bias: true, gelu: "tanh" },
  lstm: { kind: "lstm", vocabulary: 11, context: 6, embedding: 3, layers: 2, hidden: 5 },
} as const satisfies Record<string, ModelSpec>;

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
