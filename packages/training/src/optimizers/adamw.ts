// Adam with decoupled weight decay [Loshchilov and Hutter, 1711.05101], in the form of torch.optim.AdamW:
// w = w - rate*decay*w; m = b1*m + (1-b1)*g; v = b2*v + (1-b2)*g*g; w = w - rate/(1-b1^t) * m / (sqrt(v)/sqrt(1-b2^t) + epsilon).
// The powers are kept in the state and multiplied on, never recomputed: pow has other bits on other machines, a product has not.
// Intermediates in f64, rounded to f32 where stored.
import { type OptimizerSpec, ok, type Result } from "@weft/protocol";
import type { OuterOptimizer } from "./outer-optimizer.ts";
import { decodeState, encodeState } from "./state.ts";

const MAX_F32 = 3.4028234663852886e38;
const VECTORS = ["exp_avg", "exp_avg_sq"] as const;
const SCALARS = ["step", "beta1_power", "beta2_power"] as const;

export function adamw(spec: Extract<OptimizerSpec, { kind: "adamw" }>, size: number, state: Uint8Array | null): Result<OuterOptimizer> {
  const before = state === null ? null : decodeState("adamw", size, state, VECTORS, SCALARS);
  if (before !== null && !before.ok) return before;
  const first = before?.value.vectors.exp_avg ?? new Float32Array(size);
  const second = before?.value.vectors.exp_avg_sq ?? new Float32Array(size);
  let steps = before?.value.scalars.step ?? 0;
  let power1 = before?.value.scalars.beta1_power ?? 1;
  let power2 = before?.value.scalars.beta2_power ?? 1;
  const { beta1, beta2, epsilon, weightDecay } = spec;
  return ok({
    master: before?.value.master ?? null,
    step: (weights, gradient, learningRate) => {
      steps += 1;
      power1 *= beta1;
      power2 *= beta2;
      const keep = 1 - learningRate * weightDecay;
      const stepSize = learningRate / (1 - power1);
      const correction = Math.sqrt(1 - power2);
      const rest1 = 1 - beta1;
      const rest2 = 1 - beta2;
      for (let at = 0; at < size; at++) {
        const g = gradient[at] as number;
        const m = Math.fround(beta1 * (first[at] as number) + rest1 * g);
        // A gradient beyond 1e19 would make v infinite and the state unreadable; held at the largest f32 the step stays small.
        const v = Math.fround(Math.min(MAX_F32, beta2 * (second[at] as number) + rest2 * g * g));
        first[at] = m;
        second[at] = v;
        weights[at] = keep * (weights[at] as number) - (stepSize * m) / (Math.sqrt(v) / correction + epsilon);
      }
    },
    state: (master) =>
      encodeState(
        "adamw",
        { vectors: { exp_avg: first, exp_avg_sq: second }, scalars: { step: steps, beta1_power: power1, beta2_power: power2 }, master },
        VECTORS,
        SCALARS,
      ),
  });
}
