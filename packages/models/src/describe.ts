// A model in one line for people. Knows no backend.
import type { ModelSpec } from "@weft/protocol";
import { parameterCount } from "./layout.ts";

const grouped = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ",");

function shapeOf(model: ModelSpec): string {
  switch (model.kind) {
    case "mlp":
      return `MLP ${[model.inputs, ...model.hidden, model.classes].join("-")}`;
    case "cnn": {
      const convolutions = model.channels.map((channels) => `conv ${channels}`).join(", ");
      return `CNN ${model.height}x${model.width}x${model.inChannels}: ${convolutions} (${model.kernel}x${model.kernel}), dense ${model.hidden}, ${model.classes} classes`;
    }
    case "gpt":
      return `GPT of ${model.layers} layers, ${model.heads} heads, width ${model.width}, context ${model.context}, ${model.vocabulary} symbols`;
    case "lstm":
      return `LSTM of ${model.layers} layers, width ${model.hidden}, embedding ${model.embedding}, context ${model.context}, ${model.vocabulary} symbols`;
    default:
      throw model satisfies never;
  }
}

/** For example `MLP 64-32-10, 2,410 parameters`. */
export const describeModel = (model: ModelSpec): string => `${shapeOf(model)}, ${grouped(parameterCount(model))} parameters`;
