// The models of bench `step` as somebody writes them who uses TensorFlow.js alone: its operations, its gradients, its optimisers.
import * as tf from "@tensorflow/tfjs-core";
import { type CnnCase, draws, type GptCase, type LstmCase, type StepCase } from "./contender.ts";

type Parameters = ReadonlyMap<string, tf.Variable>;

function get<T extends tf.Tensor>(parameters: Parameters, name: string): T {
  const found = parameters.get(name);
  if (found === undefined) throw new Error(`no parameter ${name}`);
  return found as unknown as T;
}

function layerNorm(x: tf.Tensor, gain: tf.Tensor, bias: tf.Tensor): tf.Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-5))), gain), bias);
}

/** GPT-2's approximation. */
const gelu = (x: tf.Tensor): tf.Tensor =>
  tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(tf.mul(tf.add(x, tf.mul(tf.pow(x, 3), 0.044715)), Math.sqrt(2 / Math.PI))), 1));

type Embed = (table: tf.Tensor2D, tokens: tf.Tensor2D) => tf.Tensor3D;
const gathered: Embed = (table, tokens) => tf.gather(table, tokens) as unknown as tf.Tensor3D;
const hot: Embed = (table, tokens) => {
  const rows = tf.matMul(tf.oneHot(tf.reshape(tokens, [-1]) as tf.Tensor1D, table.shape[0]) as tf.Tensor2D, table);
  return tf.reshape(rows, [...tokens.shape, table.shape[1]]) as tf.Tensor3D;
};

function gptLoss(
  { context, heads, layers, width, vocabulary }: GptCase,
  p: Parameters,
  embed: Embed,
  inputs: tf.Tensor2D,
  targets: tf.Tensor1D,
) {
  const [rows, depth] = [inputs.shape[0], width / heads];
  const dense = (x: tf.Tensor, name: string): tf.Tensor =>
    tf.add(tf.matMul(tf.reshape(x, [rows * context, -1]) as tf.Tensor2D, get<tf.Tensor2D>(p, `${name}.w`)), get(p, `${name}.b`));
  const table = get<tf.Tensor2D>(p, "wte");
  let x: tf.Tensor = tf.add(embed(table, inputs), get(p, "wpe"));
  const mask = tf.mul(tf.sub(1, tf.linalg.bandPart(tf.ones([context, context]), -1, 0)), -1e9);
  for (let layer = 0; layer < layers; layer++) {
    const name = (part: string): string => `h${layer}.${part}`;
    const normed = layerNorm(x, get(p, name("ln1.w")), get(p, name("ln1.b")));
    const qkv = tf.split(tf.reshape(dense(normed, name("qkv")), [rows, context, 3 * width]), 3, 2);
    const [q, k, v] = qkv.map((third) => tf.transpose(tf.reshape(third, [rows, context, heads, depth]), [0, 2, 1, 3])) as [
      tf.Tensor4D,
      tf.Tensor4D,
      tf.Tensor4D,
    ];
    const attention = tf.softmax(tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(depth)), mask)) as tf.Tensor4D;
    const mixed = tf.reshape(tf.transpose(tf.matMul(attention, v), [0, 2, 1, 3]), [rows, context, width]);
    x = tf.add(x, tf.reshape(dense(mixed, name("proj")), [rows, context, width]));
    const inner = gelu(dense(layerNorm(x, get(p, name("ln2.w")), get(p, name("ln2.b"))), name("fc")));
    x = tf.add(x, tf.reshape(dense(inner, name("out")), [rows, context, width]));
  }
  const last = tf.reshape(layerNorm(x, get(p, "lnf.w"), get(p, "lnf.b")), [rows * context, width]) as tf.Tensor2D;
  return tf.losses.softmaxCrossEntropy(tf.oneHot(targets, vocabulary), tf.matMul(last, table, false, true)) as tf.Scalar;
}

function cnnLoss({ side, channels, classes }: CnnCase, p: Parameters, inputs: tf.Tensor2D, targets: tf.Tensor1D) {
  const rows = inputs.shape[0];
  let x = tf.reshape(inputs, [rows, side, side, 1]) as tf.Tensor4D;
  for (const layer of [1, 2]) {
    const convolved = tf.add(tf.conv2d(x, get<tf.Tensor4D>(p, `conv${layer}.w`), 1, "same"), get(p, `conv${layer}.b`)) as tf.Tensor4D;
    x = tf.maxPool(tf.relu(convolved), 2, 2, "valid");
  }
  const flat = tf.reshape(x, [rows, (side >> 2) ** 2 * channels[1]]) as tf.Tensor2D;
  const hidden = tf.relu(tf.add(tf.matMul(flat, get<tf.Tensor2D>(p, "fc1.w")), get(p, "fc1.b"))) as tf.Tensor2D;
  const logits = tf.add(tf.matMul(hidden, get<tf.Tensor2D>(p, "fc2.w")), get(p, "fc2.b"));
  return tf.losses.softmaxCrossEntropy(tf.oneHot(targets, classes), logits) as tf.Scalar;
}

function lstmLoss(
  { context, hidden, layers, vocabulary }: LstmCase,
  p: Parameters,
  embed: Embed,
  inputs: tf.Tensor2D,
  targets: tf.Tensor1D,
) {
  const rows = inputs.shape[0];
  const embedded = embed(get<tf.Tensor2D>(p, "embedding"), inputs);
  let steps = tf.unstack(embedded, 1) as tf.Tensor2D[];
  for (let layer = 0; layer < layers; layer++) {
    let [c, h] = [tf.zeros([rows, hidden]) as tf.Tensor2D, tf.zeros([rows, hidden]) as tf.Tensor2D];
    const outputs: tf.Tensor2D[] = [];
    for (const step of steps) {
      [c, h] = tf.basicLSTMCell(tf.scalar(0), get<tf.Tensor2D>(p, `l${layer}.w`), get<tf.Tensor1D>(p, `l${layer}.b`), step, c, h);
      outputs.push(h);
    }
    steps = outputs;
  }
  const all = tf.reshape(tf.stack(steps, 1), [rows * context, hidden]) as tf.Tensor2D;
  const logits = tf.add(tf.matMul(all, get<tf.Tensor2D>(p, "fc.w")), get(p, "fc.b"));
  return tf.losses.softmaxCrossEntropy(tf.oneHot(targets, vocabulary), logits) as tf.Scalar;
}

function shapesOf({ model }: StepCase): Readonly<Record<string, readonly number[]>> {
  switch (model.kind) {
    case "gpt": {
      const { layers, width, vocabulary, context } = model;
      const dense = (name: string, from: number, to: number) => ({ [`${name}.w`]: [from, to], [`${name}.b`]: [to] });
      const block = (name: string) => ({
        ...{ [`${name}.ln1.w`]: [width], [`${name}.ln1.b`]: [width], [`${name}.ln2.w`]: [width], [`${name}.ln2.b`]: [width] },
        ...dense(`${name}.qkv`, width, 3 * width),
        ...dense(`${name}.proj`, width, width),
        ...dense(`${name}.fc`, width, 4 * width),
        ...dense(`${name}.out`, 4 * width, width),
      });
      const blocks = Array.from({ length: layers }, (_, layer) => block(`h${layer}`));
      return Object.assign({ wte: [vocabulary, width], wpe: [context, width], "lnf.w": [width], "lnf.b": [width] }, ...blocks);
    }
    case "cnn": {
      const { side, channels, kernel, hidden, classes } = model;
      return {
        "conv1.w": [kernel, kernel, 1, channels[0]],
        "conv1.b": [channels[0]],
        "conv2.w": [kernel, kernel, channels[0], channels[1]],
        "conv2.b": [channels[1]],
        "fc1.w": [(side >> 2) ** 2 * channels[1], hidden],
        "fc1.b": [hidden],
        "fc2.w": [hidden, classes],
        "fc2.b": [classes],
      };
    }
    case "lstm": {
      const { vocabulary, embedding, layers, hidden } = model;
      const layersOf = Array.from({ length: layers }, (_, layer) => ({
        [`l${layer}.w`]: [(layer === 0 ? embedding : hidden) + hidden, 4 * hidden],
        [`l${layer}.b`]: [4 * hidden],
      }));
      return Object.assign({ embedding: [vocabulary, embedding], "fc.w": [hidden, vocabulary], "fc.b": [vocabulary] }, ...layersOf);
    }
    default:
      throw model satisfies never;
  }
}

/** `hotEmbedding`: rows of a table by a product with one-hot tokens, where there is no gradient of a gather. */
export function stockModel(
  given: StepCase,
  hotEmbedding: boolean,
): {
  readonly variables: readonly tf.Variable[];
  readonly optimizer: tf.Optimizer;
  loss(inputs: tf.Tensor2D, targets: tf.Tensor1D): tf.Scalar;
} {
  const draw = draws(5);
  const embed = hotEmbedding ? hot : gathered;
  const parameters = new Map(
    Object.entries(shapesOf(given)).map(([name, shape]) => {
      const size = shape.reduce((product, extent) => product * extent, 1);
      const values = Float32Array.from({ length: size }, () =>
        /ln\w*\.w$/.test(name) ? 1 : shape.length === 1 ? 0 : 0.04 * (draw() - 0.5),
      );
      return [name, tf.variable(tf.tensor(values, [...shape]))] as const;
    }),
  );
  const { model } = given;
  return {
    variables: [...parameters.values()],
    optimizer: model.kind === "cnn" ? tf.train.sgd(1e-3) : tf.train.adam(1e-3),
    loss: (inputs, targets) => {
      switch (model.kind) {
        case "gpt":
          return gptLoss(model, parameters, embed, inputs, targets);
        case "cnn":
          return cnnLoss(model, parameters, inputs, targets);
        case "lstm":
          return lstmLoss(model, parameters, embed, inputs, targets);
        default:
          throw model satisfies never;
      }
    },
  };
}
