// Loss and gradient of an LSTM of any depth in f64 and in plain loops, after PyTorch's definitions of nn.Embedding, nn.LSTM and nn.Linear: what
// the engine's gradients are held against. Shares nothing with the engine but the layout of the parameters. For one window at a time.
import { layoutFor } from "@weft/models";
import type { LstmSpec } from "@weft/protocol";
import type { Batch, StepResult } from "@weft/tensors";

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const get = (values: ArrayLike<number>, index: number): number => values[index] as number;
const add = (values: Float64Array, index: number, value: number): void => {
  values[index] = get(values, index) + value;
};

/** Of a layer: what it read, and its gates (input, forget, cell, output) and states, by place of the window. */
interface LayerPass {
  readonly inputs: Float64Array;
  readonly width: number;
  readonly gates: Float64Array;
  readonly cells: Float64Array;
  readonly outputs: Float64Array;
}

/** Summed over the rows of weight 1, a row's loss being the mean over its tokens: as StepResult has it. */
export function lstmReference(model: LstmSpec, weights: ArrayLike<number>, batch: Batch): { lossSum: number; gradientSum: Float64Array } {
  const { context, hidden, embedding, vocabulary, layers } = model;
  const layout = layoutFor(model);
  const offsets = new Map(layout.parameters.map(({ name, offset }) => [name, offset]));
  const offsetOf = (name: string): number => {
    const offset = offsets.get(name);
    if (offset === undefined) throw new Error(`an LSTM has no ${name}`);
    return offset;
  };
  const gradientSum = new Float64Array(layout.size);
  const [table, head, headBias] = [offsetOf("embedding.weight"), offsetOf("fc.weight"), offsetOf("fc.bias")];
  const placesOf = (layer: number) => ({
    w: offsetOf(`lstm.weight_ih_l${layer}`),
    u: offsetOf(`lstm.weight_hh_l${layer}`),
    b: offsetOf(`lstm.bias_ih_l${layer}`),
    d: offsetOf(`lstm.bias_hh_l${layer}`),
  });

  function forward(layer: number, inputs: Float64Array, width: number): LayerPass {
    const { w, u, b, d } = placesOf(layer);
    const gates = new Float64Array(4 * context * hidden);
    const cells = new Float64Array(context * hidden);
    const outputs = new Float64Array(context * hidden);
    for (let t = 0; t < context; t++) {
      for (let row = 0; row < 4 * hidden; row++) {
        let sum = get(weights, b + row) + get(weights, d + row);
        for (let i = 0; i < width; i++) sum += get(weights, w + row * width + i) * get(inputs, t * width + i);
        if (t > 0) for (let k = 0; k < hidden; k++) sum += get(weights, u + row * hidden + k) * get(outputs, (t - 1) * hidden + k);
        gates[4 * t * hidden + row] = row >= 2 * hidden && row < 3 * hidden ? Math.tanh(sum) : sigmoid(sum);
      }
      for (let unit = 0; unit < hidden; unit++) {
        const [i, f, g, o] = gatesAt(gates, t, unit);
        const cell = f * (t > 0 ? get(cells, (t - 1) * hidden + unit) : 0) + i * g;
        cells[t * hidden + unit] = cell;
        outputs[t * hidden + unit] = o * Math.tanh(cell);
      }
    }
    return { inputs, width, gates, cells, outputs };
  }
  const gatesAt = (gates: Float64Array, t: number, unit: number): [number, number, number, number] => {
    const at = (gate: number): number => get(gates, (4 * t + gate) * hidden + unit);
    return [at(0), at(1), at(2), at(3)];
  };

  /** From the gradient of the layer's outputs to that of its inputs; adds to the parameters'. */
  function backward(layer: number, pass: LayerPass, dOutputs: Float64Array): Float64Array {
    const { inputs, width, gates, cells, outputs } = pass;
    const { w, u, b, d } = placesOf(layer);
    const dInputs = new Float64Array(context * width);
    const dSums = new Float64Array(4 * hidden);
    const dCell = new Float64Array(hidden);
    let dState = new Float64Array(hidden);
    for (let t = context - 1; t >= 0; t--) {
      for (let unit = 0; unit < hidden; unit++) {
        const [i, f, g, o] = gatesAt(gates, t, unit);
        const bent = Math.tanh(get(cells, t * hidden + unit));
        const dOutput = get(dOutputs, t * hidden + unit) + get(dState, unit);
        const dHere = get(dCell, unit) + dOutput * o * (1 - bent * bent);
        const before = t > 0 ? get(cells, (t - 1) * hidden + unit) : 0;
        dSums[unit] = dHere * g * i * (1 - i);
        dSums[hidden + unit] = dHere * before * f * (1 - f);
        dSums[2 * hidden + unit] = dHere * i * (1 - g * g);
        dSums[3 * hidden + unit] = dOutput * bent * o * (1 - o);
        dCell[unit] = dHere * f;
      }
      dState = new Float64Array(hidden);
      for (let row = 0; row < 4 * hidden; row++) {
        const slope = get(dSums, row);
        add(gradientSum, b + row, slope);
        add(gradientSum, d + row, slope);
        for (let i = 0; i < width; i++) {
          add(gradientSum, w + row * width + i, slope * get(inputs, t * width + i));
          add(dInputs, t * width + i, slope * get(weights, w + row * width + i));
        }
        if (t === 0) continue;
        for (let k = 0; k < hidden; k++) {
          add(gradientSum, u + row * hidden + k, slope * get(outputs, (t - 1) * hidden + k));
          add(dState, k, slope * get(weights, u + row * hidden + k));
        }
      }
    }
    return dInputs;
  }

  /** Loss of a window whose last layer gave `outputs`, and the gradient of them. */
  function score(outputs: Float64Array, targets: ArrayLike<number>, first: number): { loss: number; dOutputs: Float64Array } {
    const dOutputs = new Float64Array(context * hidden);
    let loss = 0;
    for (let t = 0; t < context; t++) {
      const logits = new Float64Array(vocabulary);
      for (let symbol = 0; symbol < vocabulary; symbol++) {
        let sum = get(weights, headBias + symbol);
        for (let k = 0; k < hidden; k++) sum += get(weights, head + symbol * hidden + k) * get(outputs, t * hidden + k);
        logits[symbol] = sum;
      }
      const most = logits.reduce((best, value) => Math.max(best, value), Number.NEGATIVE_INFINITY);
      const total = logits.reduce((sum, value) => sum + Math.exp(value - most), 0);
      const target = get(targets, first + t);
      loss += (most + Math.log(total) - get(logits, target)) / context;
      for (let symbol = 0; symbol < vocabulary; symbol++) {
        const slope = (Math.exp(get(logits, symbol) - most) / total - (symbol === target ? 1 : 0)) / context;
        add(gradientSum, headBias + symbol, slope);
        for (let k = 0; k < hidden; k++) {
          add(gradientSum, head + symbol * hidden + k, slope * get(outputs, t * hidden + k));
          add(dOutputs, t * hidden + k, slope * get(weights, head + symbol * hidden + k));
        }
      }
    }
    return { loss, dOutputs };
  }

  let lossSum = 0;
  for (let row = 0; row < batch.rows; row++) {
    if (batch.weights[row] === 0) continue;
    const tokens = Array.from({ length: context }, (_, t) => get(batch.inputs, row * context + t));
    const embedded = Float64Array.from(tokens.flatMap((token) => range(embedding).map((c) => get(weights, table + token * embedding + c))));
    const passes: LayerPass[] = [];
    for (let layer = 0; layer < layers; layer++) {
      const below = passes.at(-1);
      passes.push(forward(layer, below?.outputs ?? embedded, below === undefined ? embedding : hidden));
    }
    const last = passes.at(-1) as LayerPass;
    const { loss, dOutputs } = score(last.outputs, batch.targets, row * context);
    lossSum += loss;
    let down = dOutputs;
    for (let layer = layers - 1; layer >= 0; layer--) down = backward(layer, passes[layer] as LayerPass, down);
    for (const [t, token] of tokens.entries())
      for (const c of range(embedding)) add(gradientSum, table + token * embedding + c, get(down, t * embedding + c));
  }
  return { lossSum, gradientSum };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Length of the difference of the gradients over the length of the reference's. */
export function differenceFrom(reference: Pick<StepResult, "lossSum"> & { readonly gradientSum: Float64Array }, found: StepResult): number {
  let [difference, length] = [0, 0];
  for (const [index, value] of reference.gradientSum.entries()) {
    difference += (value - get(found.gradientSum, index)) ** 2;
    length += value ** 2;
  }
  return Math.sqrt(difference / length);
}
