// How a local step changes weights, in plain JavaScript: the reference for the kernels that do the same on flat buffers. Formulas of
// torch.optim.SGD and torch.optim.AdamW [Loshchilov and Hutter, 1711.05101], clipping of torch.nn.utils.clip_grad_norm_. Products and sums
// in f64, rounded to f32 where stored. Knows no model.
import { norm, type OptimizerKind } from "@weft/tensors";

export interface InnerOptimizer {
  /** Changes `weights` in place, from the sum of the gradients of `samples` samples. */
  step(weights: Float32Array, gradientSum: Float32Array, samples: number, learningRate: number): void;
}

const MAX_F32 = 3.4028234663852886e38;
/** By what the norm is enlarged, so that nothing is divided by 0. */
const CLIP_EPSILON = 1e-6;

export function innerOptimizer(kind: OptimizerKind, clipNorm: number, size: number): InnerOptimizer {
  const step = kind.kind === "sgd" ? sgd(kind, size) : adamw(kind, size);
  return {
    step: (weights, gradientSum, samples, learningRate) => {
      const scale = 1 / samples;
      const factor = scale * Math.min(1, clipNorm / (scale * norm(gradientSum) + CLIP_EPSILON));
      step(weights, gradientSum, factor, learningRate);
    },
  };
}

type Step = (weights: Float32Array, gradientSum: Float32Array, factor: number, learningRate: number) => void;

function sgd({ momentum, weightDecay }: Extract<OptimizerKind, { kind: "sgd" }>, size: number): Step {
  const velocity = new Float32Array(size);
  return (weights, gradientSum, factor, learningRate) => {
    for (let at = 0; at < size; at++) {
      const weight = weights[at] as number;
      const next = Math.fround(momentum * (velocity[at] as number) + factor * (gradientSum[at] as number) + weightDecay * weight);
      velocity[at] = next;
      weights[at] = weight - learningRate * next;
    }
  };
}

function adamw({ beta1, beta2, epsilon, weightDecay }: Extract<OptimizerKind, { kind: "adamw" }>, size: number): Step {
  const first = new Float32Array(size);
  const second = new Float32Array(size);
  let steps = 0;
  return (weights, gradientSum, factor, learningRate) => {
    steps += 1;
    const stepSize = learningRate / (1 - beta1 ** steps);
    const correction = Math.sqrt(1 - beta2 ** steps);
    for (let at = 0; at < size; at++) {
      const g = factor * (gradientSum[at] as number);
      const m = Math.fround(beta1 * (first[at] as number) + (1 - beta1) * g);
      const v = Math.fround(Math.min(MAX_F32, beta2 * (second[at] as number) + (1 - beta2) * g * g));
      first[at] = m;
      second[at] = v;
      const weight = weights[at] as number;
      weights[at] = weight - learningRate * weightDecay * weight - (stepSize * m) / (Math.sqrt(v) / correction + epsilon);
    }
  };
}
