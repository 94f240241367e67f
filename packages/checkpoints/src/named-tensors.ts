// Between the one flat vector of a run and the named tensors of a file. A GPT without biases is written with biases of zero, since
// GPT-2 as Transformers has it always has them; reading drops them again. Knows no file format.
import type { ModelSpec } from "@weft/protocol";
import { type ParameterInfo, type ParameterLayout, type Tensor, viewOf } from "@weft/tensors";

/** Modules of GPT-2 that carry a bias: the layer norms and the Conv1D projections, but not the embeddings. */
const BIASED = /\.(?:ln_1|ln_2|ln_f|c_attn|c_proj|c_fc)\.weight$/;

/** Bias names and lengths that the export adds. A Conv1D is [in, out], a norm [width]: the bias has the last extent. */
function addedBias(model: ModelSpec, { name, shape }: ParameterInfo): { readonly name: string; readonly size: number } | null {
  if (model.kind !== "gpt" || model.bias || !BIASED.test(name)) return null;
  return { name: name.replace(/weight$/, "bias"), size: shape.at(-1) ?? 1 };
}

export function namedTensors(model: ModelSpec, layout: ParameterLayout, weights: Float32Array): Tensor[] {
  if (weights.length !== layout.size) throw new RangeError(`${weights.length} weights for a layout of ${layout.size}`);
  return layout.parameters.flatMap((info) => {
    const tensor = { name: info.name, shape: info.shape, values: viewOf(weights, info) };
    const bias = addedBias(model, info);
    return bias === null ? [tensor] : [tensor, { name: bias.name, shape: [bias.size], values: new Float32Array(bias.size) }];
  });
}

/** The flat vector again, or what does not fit: a missing, extra or misshapen tensor, or an added bias that is not zero. */
export function flatWeights(
  model: ModelSpec,
  layout: ParameterLayout,
  tensors: ReadonlyMap<string, Tensor>,
): { readonly ok: true; readonly weights: Float32Array } | { readonly ok: false; readonly detail: string } {
  const weights = new Float32Array(layout.size);
  let used = 0;
  for (const info of layout.parameters) {
    const tensor = tensors.get(info.name);
    if (tensor === undefined) return { ok: false, detail: `${info.name} is missing` };
    if (!(tensor.values instanceof Float32Array) || tensor.shape.join() !== info.shape.join())
      return { ok: false, detail: `${info.name} is not f32 [${info.shape.join(", ")}]` };
    weights.set(tensor.values, info.offset);
    used += 1;
    const bias = addedBias(model, info);
    const found = bias === null ? undefined : tensors.get(bias.name);
    if (bias === null || found === undefined) continue;
    if (found.values.length !== bias.size || found.values.some((value) => value !== 0))
      return { ok: false, detail: `${bias.name} is not zero, but the model has no biases` };
    used += 1;
  }
  if (used !== tensors.size) return { ok: false, detail: `${tensors.size - used} tensors belong to no parameter of the model` };
  return { ok: true, weights };
}
