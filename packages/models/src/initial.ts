// Version 0: seeded weights with the same bits on every machine. Each parameter draws from a stream of its own (its place in the layout),
// by + - * / and sqrt alone. Knows no backend.
import type { ModelSpec } from "@weft/protocol";
import { type ParameterInfo, type RandomStream, randomStream, viewOf } from "@weft/tensors";
import { layoutFor } from "./layout.ts";

type Draw = (stream: RandomStream) => number;

const constant =
  (value: number): Draw =>
  () =>
    value;
const uniform =
  (bound: number): Draw =>
  (stream) =>
    (2 * stream.uniform() - 1) * bound;
const normal =
  (deviation: number): Draw =>
  (stream) =>
    stream.normal() * deviation;

/** GPT-2: normal of deviation 0.02, projections onto the residual stream scaled down by sqrt(2 * layers), gains 1, biases 0. */
function gptDraw({ name }: ParameterInfo, layers: number): Draw {
  if (name.endsWith(".bias")) return constant(0);
  if (/\.ln_(?:1|2|f)\.weight$/.test(name)) return constant(1);
  return normal(name.endsWith(".c_proj.weight") ? 0.02 / Math.sqrt(2 * layers) : 0.02);
}

/** Before a ReLU: uniform within sqrt(6 / inputs) (He et al., 1502.01852). The last layer: within sqrt(1 / inputs). Biases 0. */
function reluDraw({ shape }: ParameterInfo, isLast: boolean): Draw {
  if (shape.length === 1) return constant(0);
  const inputs = shape.slice(1).reduce((product, extent) => product * extent, 1);
  return uniform(Math.sqrt((isLast ? 1 : 6) / inputs));
}

/** PyTorch's own: an embedding is standard normal; all else, biases too, is uniform within 1 / sqrt(hidden). */
const lstmDraw = ({ name }: ParameterInfo, hidden: number): Draw =>
  name === "embedding.weight" ? normal(1) : uniform(1 / Math.sqrt(hidden));

function drawFor(model: ModelSpec, info: ParameterInfo, isLast: boolean): Draw {
  switch (model.kind) {
    case "mlp":
    case "cnn":
      return reluDraw(info, isLast);
    case "gpt":
      return gptDraw(info, model.layers);
    case "lstm":
      return lstmDraw(info, model.hidden);
    default:
      throw model satisfies never;
  }
}

/** Flat, in canonical order. `seed` is a u32. */
export function initialWeights(model: ModelSpec, seed: number): Float32Array {
  const { parameters, size } = layoutFor(model);
  const flat = new Float32Array(size);
  parameters.forEach((info, index) => {
    const draw = drawFor(model, info, index >= parameters.length - 2);
    const stream = randomStream(seed, index, "initialisation");
    const values = viewOf(flat, info);
    for (let at = 0; at < values.length; at++) values[at] = draw(stream);
  });
  return flat;
}
