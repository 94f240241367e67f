// mlp, cnn, gpt and lstm: from named parameters and inputs to logits, and from logits to the loss. Knows TensorFlow.js, but no backend.
import * as tf from "@tensorflow/tfjs-core";
import type { CnnSpec, GptSpec, LstmSpec, MlpSpec, ModelSpec } from "@weft/protocol";
import { causalAttention } from "./ops/attention.ts";
import { convolutionBlock, flatten } from "./ops/convolution.ts";
import { crossEntropySum } from "./ops/cross-entropy.ts";
import { add } from "./ops/differentiable.ts";
import { embedding, rowsOf } from "./ops/embedding.ts";
import { layerNorm } from "./ops/layer-norm.ts";
import { linear } from "./ops/linear.ts";
import { lstmLayer } from "./ops/lstm.ts";

/** Parameters by canonical name, in canonical layout. */
export type NamedTensors = ReadonlyMap<string, tf.Tensor>;

/** A micro-batch on the backend: inputs f32 [rows, values] or int32 [rows, context], targets int32 [rows * predictions], weights [rows]. */
export interface ModelTensors {
  readonly inputs: tf.Tensor2D;
  readonly targets: tf.Tensor1D;
  readonly weights: tf.Tensor1D;
}

function parameter<T extends tf.Tensor>(parameters: NamedTensors, name: string): T {
  const tensor = parameters.get(name);
  if (tensor === undefined) throw new Error(`The model has no parameter ${name}`);
  return tensor as T;
}

function mlp(model: MlpSpec, parameters: NamedTensors, inputs: tf.Tensor2D): tf.Tensor2D {
  const last = model.hidden.length + 1;
  let x = inputs;
  for (let index = 1; index <= last; index++)
    x = linear(x, parameter(parameters, `fc${index}.weight`), {
      layout: "out-in",
      bias: parameter(parameters, `fc${index}.bias`),
      inputIsData: index === 1,
      ...(index < last ? { activation: "relu" as const } : {}),
    });
  return x;
}

function cnn(model: CnnSpec, parameters: NamedTensors, inputs: tf.Tensor2D): tf.Tensor2D {
  let x = tf.reshape(inputs, [-1, model.inChannels, model.height, model.width]) as tf.Tensor4D;
  for (let index = 1; index <= model.channels.length; index++) {
    const weight = parameter<tf.Tensor4D>(parameters, `conv${index}.weight`);
    x = convolutionBlock(x, weight, parameter(parameters, `conv${index}.bias`), index === 1);
  }
  const hidden = linear(flatten(x), parameter(parameters, "fc1.weight"), {
    layout: "out-in",
    bias: parameter(parameters, "fc1.bias"),
    activation: "relu",
  });
  return linear(hidden, parameter(parameters, "fc2.weight"), { layout: "out-in", bias: parameter(parameters, "fc2.bias") });
}

function gpt(model: GptSpec, parameters: NamedTensors, inputs: tf.Tensor2D): tf.Tensor2D {
  const length = inputs.shape[1];
  const get = <T extends tf.Tensor>(name: string): T => parameter<T>(parameters, `transformer.${name}`);
  const bias = <T extends tf.Tensor>(name: string): T | undefined => (model.bias ? get<T>(`${name}.bias`) : undefined);
  const norm = (x: tf.Tensor2D, name: string): tf.Tensor2D => layerNorm(x, get(`${name}.weight`), bias(name));
  const dense = (x: tf.Tensor2D, name: string, activation?: "gelu-exact" | "gelu-tanh"): tf.Tensor2D => {
    const b = bias(name);
    return linear(x, get(`${name}.weight`), {
      layout: "in-out",
      ...(b === undefined ? {} : { bias: b }),
      ...(activation === undefined ? {} : { activation }),
    });
  };

  const table = get<tf.Tensor2D>("wte.weight");
  let x = embedding(tf.reshape(inputs, [-1]), table, get("wpe.weight"), length);
  for (let layer = 0; layer < model.layers; layer++) {
    const block = `h.${layer}`;
    const mixed = causalAttention(dense(norm(x, `${block}.ln_1`), `${block}.attn.c_attn`), model.heads, length);
    x = add(x, dense(mixed, `${block}.attn.c_proj`)) as tf.Tensor2D;
    const inner = dense(norm(x, `${block}.ln_2`), `${block}.mlp.c_fc`, `gelu-${model.gelu}`);
    x = add(x, dense(inner, `${block}.mlp.c_proj`)) as tf.Tensor2D;
  }
  return linear(norm(x, "ln_f"), table, { layout: "out-in" });
}

function lstm(model: LstmSpec, parameters: NamedTensors, inputs: tf.Tensor2D): tf.Tensor2D {
  const length = inputs.shape[1];
  let x = rowsOf(tf.reshape(inputs, [-1]), parameter(parameters, "embedding.weight"));
  for (let layer = 0; layer < model.layers; layer++) {
    const get = <T extends tf.Tensor>(name: string): T => parameter<T>(parameters, `lstm.${name}_l${layer}`);
    x = lstmLayer(
      x,
      { inputWeight: get("weight_ih"), recurrentWeight: get("weight_hh"), inputBias: get("bias_ih"), recurrentBias: get("bias_hh") },
      length,
    );
  }
  return linear(x, parameter(parameters, "fc.weight"), { layout: "out-in", bias: parameter(parameters, "fc.bias") });
}

/** Images: [rows, classes]. Text: [rows * tokens, vocabulary]; a window may be shorter than the context. */
export function logits(model: ModelSpec, parameters: NamedTensors, inputs: tf.Tensor2D): tf.Tensor2D {
  switch (model.kind) {
    case "mlp":
      return mlp(model, parameters, inputs);
    case "cnn":
      return cnn(model, parameters, inputs);
    case "gpt":
      return gpt(model, parameters, inputs);
    case "lstm":
      return lstm(model, parameters, inputs);
    default:
      throw model satisfies never;
  }
}

/** Weighted sum over the batch of each sample's loss; that of a window is the mean over its tokens. */
export function lossSum(model: ModelSpec, parameters: NamedTensors, { inputs, targets, weights }: ModelTensors): tf.Scalar {
  return crossEntropySum(logits(model, parameters, inputs), targets, weights);
}
