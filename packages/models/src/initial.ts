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

/** Flat, in canonical order. `seed` is a u32. */
export function initialWeights(model: ModelSpec, seed: number): Float32Array {
  const { parameters, size } = layoutFor(model);
  const flat = new Float32Array(size);
  parameters.forEach((info, index) => {
    const draw = model.kind === "gpt" ? gptDraw(info, model.layers) : reluDraw(info, index >= parameters.length - 2);
    const stream = randomStream(seed, index, "initialisation");
    const values = viewOf(flat, info);
    for (let at = 0; at < values.length; at++) values[at] = draw(stream);
  });
  return flat;
}
