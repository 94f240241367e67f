// A training step on an engine that gives gradients: the coordinator's optimiser does the rest. What our contenders in bench `step` have in
// common; knows no backend.
import { initialWeights } from "@weft/models";
import type { ModelSpec } from "@weft/protocol";
import type { OptimizerKind } from "@weft/tensors";
import { outerOptimizer } from "@weft/training";
import type { VolunteerEngine } from "@weft/volunteer";
import { batchOf, type StepCase, type Trainer } from "./contender.ts";

export function specOf({ model }: StepCase): ModelSpec {
  switch (model.kind) {
    case "gpt":
      return { ...model, bias: true, gelu: "tanh" };
    case "lstm":
      return model;
    case "cnn": {
      const { side, channels, ...rest } = model;
      return { ...rest, height: side, width: side, inChannels: 1, channels: [...channels] };
    }
    default:
      throw model satisfies never;
  }
}

export const LEARNING_RATE = 1e-3;
export const optimizerOf = ({ model }: StepCase): OptimizerKind =>
  model.kind === "cnn"
    ? { kind: "sgd", momentum: 0, weightDecay: 0 }
    : { kind: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-7, weightDecay: 0 };

/** `heldBytes`: what the engine's thread holds, where that can be known here. */
export async function trainerOn(
  engine: Pick<VolunteerEngine, "load" | "setWeights" | "step" | "dispose">,
  given: StepCase,
  heldBytes: () => number | null,
): Promise<Trainer> {
  const model = specOf(given);
  await engine.load(model, given.rows);
  const { inputs, targets } = batchOf(given);
  const weights = initialWeights(model, 5);
  const optimizer = outerOptimizer({ ...optimizerOf(given), learningRate: LEARNING_RATE }, weights.length, null);
  if (!optimizer.ok) throw new Error(optimizer.message);
  return {
    async step() {
      await engine.setWeights(weights);
      // Copies: an engine in another thread takes what it is given with it.
      const batch = { rows: given.rows, inputs: inputs.slice(), targets: targets.slice(), weights: new Float32Array(given.rows).fill(1) };
      const { lossSum: sum, gradientSum } = await engine.step(batch);
      for (let at = 0; at < gradientSum.length; at++) gradientSum[at] = (gradientSum[at] as number) / given.rows;
      optimizer.value.step(weights, gradientSum, LEARNING_RATE);
      return sum / given.rows;
    },
    heldBytes,
    dispose: () => engine.dispose(),
  };
}
