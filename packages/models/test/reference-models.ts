// The models once more, number by number in f64, after PyTorch's definitions: what the engines' losses and gradients are held against.
import type { CnnSpec, GptSpec, LstmSpec, MlpSpec, ModelSpec } from "@weft/protocol";
import type { Batch } from "@weft/tensors";
import { layoutFor } from "../src/layout.ts";
import { erf, type Scalar, Tape } from "./scalar-tape.ts";

type Row = readonly Scalar[];
type Parameters = (name: string) => { readonly at: (...index: number[]) => Scalar; readonly shape: readonly number[] };

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** y[o] = sum over i of W x + b, with W[o, i], or W[i, o] for GPT-2's Conv1D. */
function dense(tape: Tape, parameters: Parameters, name: string, x: Row, layout: "out-in" | "in-out", bias: boolean): Row {
  const weight = parameters(`${name}.weight`);
  const outputs = weight.shape[layout === "out-in" ? 0 : 1] as number;
  return range(outputs).map((o) => {
    const product = tape.dot(
      x,
      x.map((_, i) => (layout === "out-in" ? weight.at(o, i) : weight.at(i, o))),
    );
    return bias ? tape.add(product, parameters(`${name}.bias`).at(o)) : product;
  });
}

function mlp(tape: Tape, model: MlpSpec, parameters: Parameters, inputs: readonly number[]): Row[] {
  let x: Row = inputs.map((value) => tape.leaf(value));
  const last = model.hidden.length + 1;
  for (let index = 1; index <= last; index++) {
    x = dense(tape, parameters, `fc${index}`, x, "out-in", true);
    if (index < last) x = x.map((value) => tape.relu(value));
  }
  return [x];
}

function cnn(tape: Tape, model: CnnSpec, parameters: Parameters, inputs: readonly number[]): Row[] {
  let [channels, height, width] = [model.inChannels, model.height, model.width];
  let image: Row = inputs.map((value) => tape.leaf(value));
  const reach = (model.kernel - 1) / 2;
  for (const [index, outChannels] of model.channels.entries()) {
    const weight = parameters(`conv${index + 1}.weight`);
    const bias = parameters(`conv${index + 1}.bias`);
    const [h, w, c, source] = [height, width, channels, image];
    const convolved = (o: number, y: number, x: number): Scalar => {
      const terms = [bias.at(o)];
      for (let i = 0; i < c; i++)
        for (let ky = 0; ky < model.kernel; ky++)
          for (let kx = 0; kx < model.kernel; kx++) {
            const [sy, sx] = [y + ky - reach, x + kx - reach];
            if (sy < 0 || sy >= h || sx < 0 || sx >= w) continue;
            terms.push(tape.mul(weight.at(o, i, ky, kx), source[(i * h + sy) * w + sx] as Scalar));
          }
      return tape.relu(tape.sum(terms));
    };
    const pooled: Scalar[] = [];
    for (let o = 0; o < outChannels; o++)
      for (let y = 0; y + 1 < h; y += 2)
        for (let x = 0; x + 1 < w; x += 2) {
          const square = [convolved(o, y, x), convolved(o, y, x + 1), convolved(o, y + 1, x), convolved(o, y + 1, x + 1)];
          pooled.push(square.reduce((best, other) => (tape.value(other) > tape.value(best) ? other : best)));
        }
    [channels, height, width, image] = [outChannels, h >> 1, w >> 1, pooled];
  }
  const hidden = dense(tape, parameters, "fc1", image, "out-in", true).map((value) => tape.relu(value));
  return [dense(tape, parameters, "fc2", hidden, "out-in", true)];
}

function layerNorm(tape: Tape, model: GptSpec, parameters: Parameters, name: string, x: Row): Row {
  const mean = tape.scale(tape.sum(x), 1 / x.length);
  const centred = x.map((value) => tape.add(value, tape.scale(mean, -1)));
  const variance = tape.scale(tape.dot(centred, centred), 1 / x.length);
  const inverse = tape.power(tape.add(variance, tape.leaf(1e-5)), -0.5);
  return centred.map((value, index) => {
    const scaled = tape.mul(tape.mul(value, inverse), parameters(`${name}.weight`).at(index));
    return model.bias ? tape.add(scaled, parameters(`${name}.bias`).at(index)) : scaled;
  });
}

function softmax(tape: Tape, scores: Row): Row {
  const exps = scores.map((score) => tape.exp(score));
  const inverse = tape.power(tape.sum(exps), -1);
  return exps.map((value) => tape.mul(value, inverse));
}

function gelu(tape: Tape, x: Scalar, kind: GptSpec["gelu"]): Scalar {
  const v = tape.value(x);
  if (kind === "exact") {
    const phi = 0.5 * (1 + erf(v / Math.SQRT2));
    return tape.apply(x, v * phi, phi + (v * Math.exp((-v * v) / 2)) / Math.sqrt(2 * Math.PI));
  }
  const inner = Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3);
  const t = Math.tanh(inner);
  const slope = 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * v * v);
  return tape.apply(x, 0.5 * v * (1 + t), slope);
}

function attention(tape: Tape, model: GptSpec, qkv: readonly Row[]): Row[] {
  const depth = model.width / model.heads;
  const part = (token: number, third: number, head: number): Row => {
    const start = third * model.width + head * depth;
    return (qkv[token] as Row).slice(start, start + depth);
  };
  return qkv.map((_, token) =>
    range(model.heads).flatMap((head) => {
      const query = part(token, 0, head);
      const seen = range(token + 1);
      const weights = softmax(
        tape,
        seen.map((other) => tape.scale(tape.dot(query, part(other, 1, head)), 1 / Math.sqrt(depth))),
      );
      return range(depth).map((d) =>
        tape.dot(
          weights,
          seen.map((other) => part(other, 2, head)[d] as Scalar),
        ),
      );
    }),
  );
}

function gpt(tape: Tape, model: GptSpec, parameters: Parameters, inputs: readonly number[]): Row[] {
  const table = parameters("transformer.wte.weight");
  const positions = parameters("transformer.wpe.weight");
  const columns = range(model.width);
  const plus = (a: readonly Row[], b: readonly Row[]): Row[] =>
    a.map((row, t) => row.map((value, c) => tape.add(value, (b[t] as Row)[c] as Scalar)));

  let x: Row[] = inputs.map((token, position) => columns.map((c) => tape.add(table.at(token, c), positions.at(position, c))));
  for (let layer = 0; layer < model.layers; layer++) {
    const block = `transformer.h.${layer}`;
    const conv1d = (name: string, rows: readonly Row[]): Row[] =>
      rows.map((row) => dense(tape, parameters, `${block}.${name}`, row, "in-out", model.bias));
    const norm = (name: string): Row[] => x.map((row) => layerNorm(tape, model, parameters, `${block}.${name}`, row));
    x = plus(x, conv1d("attn.c_proj", attention(tape, model, conv1d("attn.c_attn", norm("ln_1")))));
    const inner = conv1d("mlp.c_fc", norm("ln_2")).map((row) => row.map((value) => gelu(tape, value, model.gelu)));
    x = plus(x, conv1d("mlp.c_proj", inner));
  }
  return x.map((row) => {
    const last = layerNorm(tape, model, parameters, "transformer.ln_f", row);
    return range(model.vocabulary).map((symbol) =>
      tape.dot(
        last,
        columns.map((c) => table.at(symbol, c)),
      ),
    );
  });
}

const sigmoid = (tape: Tape, x: Scalar): Scalar => {
  const value = 1 / (1 + Math.exp(-tape.value(x)));
  return tape.apply(x, value, value * (1 - value));
};
const tanh = (tape: Tape, x: Scalar): Scalar => {
  const value = Math.tanh(tape.value(x));
  return tape.apply(x, value, 1 - value * value);
};

function lstm(tape: Tape, model: LstmSpec, parameters: Parameters, inputs: readonly number[]): Row[] {
  const table = parameters("embedding.weight");
  const units = range(model.hidden);
  let sequence: Row[] = inputs.map((token) => range(model.embedding).map((c) => table.at(token, c)));
  for (let layer = 0; layer < model.layers; layer++) {
    const named = (name: string): ReturnType<Parameters> => parameters(`lstm.${name}_l${layer}`);
    const [w, u, b, d] = [named("weight_ih"), named("weight_hh"), named("bias_ih"), named("bias_hh")];
    let h: Row = units.map(() => tape.leaf(0));
    let c: Row = units.map(() => tape.leaf(0));
    sequence = sequence.map((x) => {
      const gate = (index: number, unit: number): Scalar => {
        const row = index * model.hidden + unit;
        const weights = [...x.map((_, i) => w.at(row, i)), ...units.map((k) => u.at(row, k))];
        return tape.sum([tape.dot([...x, ...h], weights), b.at(row), d.at(row)]);
      };
      const gates = (index: number, bend: typeof tanh): Row => units.map((unit) => bend(tape, gate(index, unit)));
      const [i, f, g, o] = [gates(0, sigmoid), gates(1, sigmoid), gates(2, tanh), gates(3, sigmoid)];
      const at = (row: Row, unit: number): Scalar => row[unit] as Scalar;
      c = units.map((unit) => tape.add(tape.mul(at(f, unit), at(c, unit)), tape.mul(at(i, unit), at(g, unit))));
      h = units.map((unit) => tape.mul(at(o, unit), tanh(tape, at(c, unit))));
      return h;
    });
  }
  return sequence.map((h) => dense(tape, parameters, "fc", h, "out-in", true));
}

function logitsOf(tape: Tape, model: ModelSpec, parameters: Parameters, inputs: readonly number[]): Row[] {
  switch (model.kind) {
    case "mlp":
      return mlp(tape, model, parameters, inputs);
    case "cnn":
      return cnn(tape, model, parameters, inputs);
    case "gpt":
      return gpt(tape, model, parameters, inputs);
    case "lstm":
      return lstm(tape, model, parameters, inputs);
    default:
      throw model satisfies never;
  }
}

export interface Reference {
  readonly lossSum: number;
  readonly gradientSum: Float64Array;
  /** Of the rows with weight, one after another. */
  readonly logits: number[];
}

/** Loss, gradient and logits of a batch at `weights`, all in f64. */
export function reference(model: ModelSpec, weights: ArrayLike<number>, batch: Batch): Reference {
  const layout = layoutFor(model);
  const tape = new Tape();
  for (let index = 0; index < layout.size; index++) tape.leaf(weights[index] as number);
  const byName = new Map(layout.parameters.map((info) => [info.name, info]));
  const parameters: Parameters = (name) => {
    const info = byName.get(name);
    if (info === undefined) throw new Error(`No parameter ${name}`);
    return {
      shape: info.shape,
      at: (...index) => info.offset + index.reduce((flat, i, axis) => flat * (info.shape[axis] as number) + i, 0),
    };
  };
  const perRow = batch.targets.length / batch.rows;
  const values = batch.inputs.length / batch.rows;
  const logits: number[] = [];
  const losses: Scalar[] = [];
  for (let row = 0; row < batch.rows; row++) {
    if (batch.weights[row] === 0) continue;
    const rows = logitsOf(tape, model, parameters, Array.from(batch.inputs.subarray(row * values, (row + 1) * values)));
    for (const [index, scores] of rows.entries()) {
      logits.push(...scores.map((score) => tape.value(score)));
      const target = scores[batch.targets[row * perRow + index] as number] as Scalar;
      const logSumExp = tape.log(tape.sum(scores.map((score) => tape.exp(score))));
      losses.push(tape.scale(tape.add(logSumExp, tape.scale(target, -1)), 1 / perRow));
    }
  }
  const loss = tape.sum(losses);
  return { lossSum: tape.value(loss), gradientSum: tape.gradient(loss, layout.size), logits };
}
