// Stochastic gradient descent with momentum and L2 weight decay, as torch.optim.SGD defines it (dampening 0, no Nesterov):
// g = gradient + decay*w; buffer = momentum*buffer + g; w = w - rate*buffer. Products and sums in f64, rounded to f32 where stored.
import { type OptimizerSpec, ok, type Result } from "@weft/protocol";
import type { OuterOptimizer } from "./outer-optimizer.ts";
import { decodeState, encodeState } from "./state.ts";

const VECTORS = ["momentum_buffer"] as const;
const SCALARS = ["step"] as const;

export function sgd(spec: Extract<OptimizerSpec, { kind: "sgd" }>, size: number, state: Uint8Array | null): Result<OuterOptimizer> {
  const before = state === null ? null : decodeState("sgd", size, state, VECTORS, SCALARS);
  if (before !== null && !before.ok) return before;
  const buffer = before?.value.vectors.momentum_buffer ?? new Float32Array(size);
  let steps = before?.value.scalars.step ?? 0;
  const { momentum, weightDecay } = spec;
  return ok({
    step: (weights, gradient, learningRate) => {
      for (let at = 0; at < size; at++) {
        const weight = weights[at] as number;
        const velocity = Math.fround(momentum * (buffer[at] as number) + ((gradient[at] as number) + weightDecay * weight));
        buffer[at] = velocity;
        weights[at] = weight - learningRate * velocity;
      }
      steps += 1;
    },
    state: () => encodeState("sgd", { vectors: { momentum_buffer: buffer }, scalars: { step: steps } }, VECTORS, SCALARS),
  });
}
