// What the fused kernels compute, in f64 and in plain loops: forward passes after their definitions, gradients after the formulas that
// the kernels use. references.test.ts holds each gradient against differences of its forward pass.

export type Values = ArrayLike<number>;
const at = (values: Values, index: number): number => values[index] as number;
const zeros = (length: number): Float64Array => new Float64Array(length);

export interface LayerNormCase {
  readonly rows: number;
  readonly width: number;
  readonly x: Values;
  readonly gain: Values;
  readonly bias?: Values;
}
const EPSILON = 1e-5;

function statistics({ width, x }: LayerNormCase, row: number): { readonly mean: number; readonly inverse: number } {
  let [sum, squares] = [0, 0];
  for (let c = 0; c < width; c++) sum += at(x, row * width + c);
  const mean = sum / width;
  for (let c = 0; c < width; c++) squares += (at(x, row * width + c) - mean) ** 2;
  return { mean, inverse: 1 / Math.sqrt(squares / width + EPSILON) };
}

export function layerNorm(given: LayerNormCase): Float64Array {
  const { rows, width, x, gain, bias } = given;
  const y = zeros(rows * width);
  for (let row = 0; row < rows; row++) {
    const { mean, inverse } = statistics(given, row);
    for (let c = 0; c < width; c++)
      y[row * width + c] = (at(x, row * width + c) - mean) * inverse * at(gain, c) + (bias === undefined ? 0 : at(bias, c));
  }
  return y;
}

export function layerNormGradient(given: LayerNormCase, dy: Values) {
  const { rows, width, x, gain } = given;
  const [dx, dGain, dBias] = [zeros(rows * width), zeros(width), zeros(width)];
  for (let row = 0; row < rows; row++) {
    const { mean, inverse } = statistics(given, row);
    let [sum, along] = [0, 0];
    for (let c = 0; c < width; c++) {
      const [slope, unit] = [at(dy, row * width + c), (at(x, row * width + c) - mean) * inverse];
      sum += slope * at(gain, c);
      along += slope * at(gain, c) * unit;
      dGain[c] = at(dGain, c) + slope * unit;
      dBias[c] = at(dBias, c) + slope;
    }
    for (let c = 0; c < width; c++) {
      const unit = (at(x, row * width + c) - mean) * inverse;
      dx[row * width + c] = inverse * (at(dy, row * width + c) * at(gain, c) - sum / width - (unit * along) / width);
    }
  }
  return { dx, dGain, dBias };
}

/** erf by its series where that converges quickly, by its continued fraction beyond. */
function erf(x: number): number {
  const z = Math.abs(x);
  if (z > 6) return Math.sign(x);
  if (z < 2.5) {
    let [term, sum] = [z, z];
    for (let n = 1; n < 80; n++) {
      term *= -(z * z) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 80; n >= 1; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / (z + fraction) / Math.sqrt(Math.PI));
}

const phi = (x: number, kind: "exact" | "tanh"): number =>
  kind === "exact" ? 0.5 * (1 + erf(x * Math.SQRT1_2)) : 0.5 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

function geluSlope(x: number, kind: "exact" | "tanh"): number {
  if (kind === "exact") return phi(x, kind) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI);
  const t = 2 * phi(x, kind) - 1;
  return phi(x, kind) + 0.5 * x * (1 - t * t) * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
}

export const gelu = (x: Values, kind: "exact" | "tanh"): Float64Array => Float64Array.from(x, (value) => value * phi(value, kind));
export const geluGradient = (x: Values, kind: "exact" | "tanh", dy: Values): Float64Array =>
  Float64Array.from(x, (value, index) => at(dy, index) * geluSlope(value, kind));

export interface CrossEntropyCase {
  readonly rows: number;
  readonly classes: number;
  readonly predictions: number;
  readonly logits: Values;
  readonly targets: Values;
  readonly weights: Values;
}

function logSumExp({ classes, logits }: CrossEntropyCase, row: number): number {
  let [largest, sum] = [Number.NEGATIVE_INFINITY, 0];
  for (let c = 0; c < classes; c++) largest = Math.max(largest, at(logits, row * classes + c));
  for (let c = 0; c < classes; c++) sum += Math.exp(at(logits, row * classes + c) - largest);
  return largest + Math.log(sum);
}
const shareOf = ({ weights, predictions }: CrossEntropyCase, row: number): number =>
  at(weights, Math.floor(row / predictions)) / predictions;

export function crossEntropy(given: CrossEntropyCase): number {
  let loss = 0;
  for (let row = 0; row < given.rows; row++)
    loss += shareOf(given, row) * (logSumExp(given, row) - at(given.logits, row * given.classes + at(given.targets, row)));
  return loss;
}

export function crossEntropyGradient(given: CrossEntropyCase, dy: number): Float64Array {
  const { rows, classes, logits, targets } = given;
  const gradient = zeros(rows * classes);
  for (let row = 0; row < rows; row++) {
    const total = logSumExp(given, row);
    for (let c = 0; c < classes; c++)
      gradient[row * classes + c] =
        dy * shareOf(given, row) * (Math.exp(at(logits, row * classes + c) - total) - (c === at(targets, row) ? 1 : 0));
  }
  return gradient;
}

export interface EmbeddingCase {
  readonly windows: number;
  readonly length: number;
  readonly context: number;
  readonly symbols: number;
  readonly width: number;
  readonly tokens: Values;
}

export function embedding({ windows, length, width, tokens }: EmbeddingCase, table: Values, positions: Values): Float64Array {
  return Float64Array.from({ length: windows * length * width }, (_, index) => {
    const [token, column] = [Math.floor(index / width), index % width];
    return at(table, at(tokens, token) * width + column) + at(positions, (token % length) * width + column);
  });
}

export function embeddingGradient({ windows, length, context, symbols, width, tokens }: EmbeddingCase, dy: Values) {
  const [dTable, dPositions] = [zeros(symbols * width), zeros(context * width)];
  for (let token = 0; token < windows * length; token++)
    for (let column = 0; column < width; column++) {
      const slope = at(dy, token * width + column);
      const [row, place] = [at(tokens, token) * width + column, (token % length) * width + column];
      dTable[row] = at(dTable, row) + slope;
      dPositions[place] = at(dPositions, place) + slope;
    }
  return { dTable, dPositions };
}

export interface AttentionCase {
  readonly windows: number;
  readonly length: number;
  readonly heads: number;
  readonly depth: number;
  /** [windows * length, 3 * heads * depth] */
  readonly qkv: Values;
}

/** Calls `visit` for each token with its row of probabilities and the places of its head's vectors. */
function attend(
  { windows, length, heads, depth, qkv }: AttentionCase,
  visit: (row: { readonly token: number; readonly first: number; readonly head: number; readonly weights: number[] }) => void,
): void {
  const width = heads * depth;
  for (let window = 0; window < windows; window++)
    for (let head = 0; head < heads; head++)
      for (let own = 0; own < length; own++) {
        const first = window * length;
        const token = first + own;
        const scores = Array.from({ length: own + 1 }, (_, other) => {
          let score = 0;
          for (let d = 0; d < depth; d++)
            score += at(qkv, token * 3 * width + head * depth + d) * at(qkv, ((first + other) * 3 + 1) * width + head * depth + d);
          return score / Math.sqrt(depth);
        });
        const largest = Math.max(...scores);
        const exps = scores.map((score) => Math.exp(score - largest));
        const sum = exps.reduce((total, value) => total + value, 0);
        visit({ token, first, head, weights: exps.map((value) => value / sum) });
      }
}

export function attention(given: AttentionCase): Float64Array {
  const { windows, length, heads, depth, qkv } = given;
  const width = heads * depth;
  const y = zeros(windows * length * width);
  attend(given, ({ token, first, head, weights }) => {
    for (const [other, weight] of weights.entries())
      for (let d = 0; d < depth; d++) {
        const place = token * width + head * depth + d;
        y[place] = at(y, place) + weight * at(qkv, ((first + other) * 3 + 2) * width + head * depth + d);
      }
  });
  return y;
}

export function attentionGradient(given: AttentionCase, dy: Values): Float64Array {
  const { heads, depth, qkv } = given;
  const width = heads * depth;
  const gradient = zeros(qkv.length);
  const add = (place: number, value: number): void => {
    gradient[place] = at(gradient, place) + value;
  };
  attend(given, ({ token, first, head, weights }) => {
    const mine = head * depth;
    const slopes = weights.map((_, other) => {
      let slope = 0;
      for (let d = 0; d < depth; d++) slope += at(dy, token * width + mine + d) * at(qkv, ((first + other) * 3 + 2) * width + mine + d);
      return slope;
    });
    const along = slopes.reduce((sum, slope, other) => sum + slope * at(weights, other), 0);
    for (const [other, weight] of weights.entries()) {
      const dScore = (weight * (at(slopes, other) - along)) / Math.sqrt(depth);
      for (let d = 0; d < depth; d++) {
        const [query, key, value] = [0, 1, 2].map((third) => ((third === 0 ? token : first + other) * 3 + third) * width + mine + d);
        add(query as number, dScore * at(qkv, key as number));
        add(key as number, dScore * at(qkv, query as number));
        add(value as number, weight * at(dy, token * width + mine + d));
      }
    }
  });
  return gradient;
}
