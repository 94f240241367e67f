// The models of bench `step` as jax-js's documentation writes models. Every array is consumed by the function it is passed to; `ref` keeps it.
import { lax, nn, numpy as np } from "@jax-js/jax";
import type { CnnCase, GptCase, LstmCase, StepCase } from "./contender.ts";

export type Weights = Record<string, np.Array>;

const dense = (x: np.Array, p: Weights, name: string): np.Array =>
  np.matmul(x, (p[`${name}.w`] as np.Array).ref).add((p[`${name}.b`] as np.Array).ref);
const norm = (x: np.Array, p: Weights, name: string): np.Array =>
  nn
    .standardize(x, -1, { epsilon: 1e-5 })
    .mul((p[`${name}.w`] as np.Array).ref)
    .add((p[`${name}.b`] as np.Array).ref);

function gptLoss(
  { layers, heads, width, context, vocabulary }: GptCase,
  rows: number,
  p: Weights,
  inputs: np.Array,
  targets: np.Array,
): np.Array {
  const table = p.wte as np.Array;
  let x = np.take(table.ref, inputs, 0).add((p.wpe as np.Array).ref);
  for (let layer = 0; layer < layers; layer++) {
    const name = (part: string): string => `h${layer}.${part}`;
    const [q, k, v] = np
      .split(dense(norm(x.ref, p, name("ln1")), p, name("qkv")), 3, -1)
      .map((third) => third.reshape([rows, context, heads, width / heads])) as [np.Array, np.Array, np.Array];
    const mixed = nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([rows, context, width]);
    x = x.add(dense(mixed, p, name("proj")));
    x = x.ref.add(dense(nn.gelu(dense(norm(x, p, name("ln2")), p, name("fc"))), p, name("out")));
  }
  const logits = np.matmul(norm(x, p, "lnf"), table.ref.transpose());
  for (const weight of Object.values(p)) weight.dispose();
  const hot = nn.oneHot(targets, vocabulary);
  return nn
    .logSoftmax(logits, -1)
    .mul(hot)
    .sum()
    .mul(-1 / (rows * context));
}

function cnnLoss({ side, channels, classes }: CnnCase, rows: number, p: Weights, inputs: np.Array, targets: np.Array): np.Array {
  const get = (name: string): np.Array => (p[name] as np.Array).ref;
  let x = inputs.reshape([rows, 1, side, side]);
  for (const [index, count] of channels.entries()) {
    const size = side >> index;
    const convolved = lax.conv(x, get(`conv${index + 1}.w`), [1, 1], "SAME").add(get(`conv${index + 1}.b`).reshape([1, count, 1, 1]));
    // It has a pool by windows too; of squares that do not overlap this is the same.
    x = np.max(nn.relu(convolved).reshape([rows, count, size / 2, 2, size / 2, 2]), [3, 5]);
  }
  const hidden = nn.relu(dense(x.reshape([rows, (side >> 2) ** 2 * channels[1]]), p, "fc1"));
  const logits = dense(hidden, p, "fc2");
  for (const weight of Object.values(p)) weight.dispose();
  return nn
    .logSoftmax(logits, -1)
    .mul(nn.oneHot(targets, classes))
    .sum()
    .mul(-1 / rows);
}

function lstmLoss(
  { context, hidden, layers, vocabulary }: LstmCase,
  rows: number,
  p: Weights,
  inputs: np.Array,
  targets: np.Array,
): np.Array {
  const embedded = np.take((p.embedding as np.Array).ref, inputs, 0);
  let steps = np.split(embedded, context, 1).map((step) => step.reshape([rows, -1]));
  for (let layer = 0; layer < layers; layer++) {
    let [c, h] = [np.zeros([rows, hidden]), np.zeros([rows, hidden])];
    steps = steps.map((step) => {
      const [i, g, f, o] = np.split(dense(np.concatenate([step, h], 1), p, `l${layer}`), 4, -1) as [np.Array, np.Array, np.Array, np.Array];
      c = nn
        .sigmoid(f)
        .mul(c)
        .add(nn.sigmoid(i).mul(np.tanh(g)));
      h = nn.sigmoid(o).mul(np.tanh(c.ref));
      return h.ref;
    });
    c.dispose();
    h.dispose();
  }
  const logits = dense(np.stack(steps, 1).reshape([rows * context, hidden]), p, "fc");
  for (const weight of Object.values(p)) weight.dispose();
  return nn
    .logSoftmax(logits, -1)
    .mul(nn.oneHot(targets.reshape([rows * context]), vocabulary))
    .sum()
    .mul(-1 / (rows * context));
}

/** Most places of a window: without a loop of its own jax-js compiles each place anew, one behind the other. */
const LONGEST_WINDOW = 16;

export const canTrain = (model: StepCase["model"]): boolean => model.kind !== "lstm" || model.context <= LONGEST_WINDOW;

export function lossOf(model: StepCase["model"], rows: number, p: Weights, inputs: np.Array, targets: np.Array): np.Array {
  switch (model.kind) {
    case "gpt":
      return gptLoss(model, rows, p, inputs, targets);
    case "cnn":
      return cnnLoss(model, rows, p, inputs, targets);
    case "lstm":
      return lstmLoss(model, rows, p, inputs, targets);
    default:
      throw model satisfies never;
  }
}

export function shapesOf(model: StepCase["model"]): Readonly<Record<string, number[]>> {
  const linear = (name: string, from: number, to: number) => ({ [`${name}.w`]: [from, to], [`${name}.b`]: [to] });
  switch (model.kind) {
    case "gpt": {
      const { layers, width, vocabulary, context } = model;
      const gains = (name: string) => ({ [`${name}.w`]: [width], [`${name}.b`]: [width] });
      const block = (name: string) => ({
        ...gains(`${name}.ln1`),
        ...linear(`${name}.qkv`, width, 3 * width),
        ...linear(`${name}.proj`, width, width),
        ...gains(`${name}.ln2`),
        ...linear(`${name}.fc`, width, 4 * width),
        ...linear(`${name}.out`, 4 * width, width),
      });
      const blocks = Array.from({ length: layers }, (_, layer) => block(`h${layer}`));
      return Object.assign({ wte: [vocabulary, width], wpe: [context, width] }, ...blocks, gains("lnf"));
    }
    case "cnn": {
      const { side, channels, kernel, hidden, classes } = model;
      const convolution = (name: string, from: number, to: number) => ({ [`${name}.w`]: [to, from, kernel, kernel], [`${name}.b`]: [to] });
      return {
        ...convolution("conv1", 1, channels[0]),
        ...convolution("conv2", channels[0], channels[1]),
        ...linear("fc1", (side >> 2) ** 2 * channels[1], hidden),
        ...linear("fc2", hidden, classes),
      };
    }
    case "lstm": {
      const { vocabulary, embedding, layers, hidden } = model;
      const cells = Array.from({ length: layers }, (_, layer) =>
        linear(`l${layer}`, (layer === 0 ? embedding : hidden) + hidden, 4 * hidden),
      );
      return Object.assign({ embedding: [vocabulary, embedding] }, ...cells, linear("fc", hidden, vocabulary));
    }
    default:
      throw model satisfies never;
  }
}
