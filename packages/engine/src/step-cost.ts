// How much arithmetic a training step is, roughly: enough to tell what a processor does in an instant from what it does in a minute.
// Knows no backend.
import { parameterCount } from "@weft/models";
import type { ModelSpec } from "@weft/protocol";

/** Multiply-adds of one sample's forward pass: each weight once for every place that it is applied to. */
function forwardOf(model: ModelSpec): number {
  const parameters = parameterCount(model);
  switch (model.kind) {
    case "mlp":
      return parameters;
    case "cnn": {
      const { height, width, kernel, inChannels, channels } = model;
      let total = parameters;
      for (const [layer, outputs] of channels.entries())
        total += (height >> layer) * (width >> layer) * kernel ** 2 * (channels[layer - 1] ?? inChannels) * outputs;
      return total;
    }
    case "lstm":
      return parameters * model.context;
    case "gpt":
      // Scores and mixed values: each position with each.
      return parameters * model.context + 2 * model.layers * model.width * model.context ** 2;
    default:
      throw model satisfies never;
  }
}

/** Multiply-adds of a step on so many rows: the backward pass is about two forward ones. */
export const multiplyAdds = (model: ModelSpec, rows: number): number => 3 * rows * forwardOf(model);
