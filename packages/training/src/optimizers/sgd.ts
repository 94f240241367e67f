// Stochastic gradient descent with momentum and L2 weight decay, and its Nesterov form, as torch.optim.SGD defines them (dampening 0):
// g = gradient + decay*w; buffer = momentum*buffer + g; w = w - rate*buffer, or with Nesterov w - rate*(g + momentum*buffer).
// Products and sums in f64, rounded to f32 where stored.
import { type OptimizerSpec, ok, type Result } from "@weft/protocol";
import type { OuterOptimizer } from "./outer-optimizer.ts";
import { decodeState, encodeState } from "./state.ts";

const VECTORS = ["momentum_buffer"] as const;
const SCALARS = ["step"] as const;

export function sgd(
  { kind, momentum, weightDecay }: Extract<OptimizerSpec, { kind: "sgd" | "nesterov" }>,
  size: number,
  state: Uint8Array | null,
): Result<OuterOptimizer> {
  const before = state === null ? null : decodeState(kind, size, state, VECTORS, SCALARS);
  if (before !== null && !before.ok) return before;
  const buffer = before?.value.vectors.momentum_buffer ?? new Float32Array(size);
  let steps = before?.value.scalars.step ?? 0;
  return ok({
    master: before?.value.master ?? null,
    step: (weights, gradient, learningRate) => {
      for (let at = 0; at < size; at++) {
        const weight = weights[at] as number;
        const slope = (gradient[at] as number) + weightDecay * weight;
        const velocity = Math.fround(momentum * (buffer[at] as number) + slope);
        buffer[at] = velocity;
        weights[at] = weight - learningRate * (kind === "nesterov" ? slope + momentum * velocity : velocity);
      }
      steps += 1;
    },
    state: (master) => encodeState(kind, { vectors: { momentum_buffer: buffer }, scalars: { step: steps }, master }, VECTORS, SCALARS),
  });
}
