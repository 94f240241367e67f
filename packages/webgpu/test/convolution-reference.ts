// Convolution, ReLU and 2x2 max-pooling, and their gradients, in f64 and in plain loops, with bounds on what f32 makes of them.
import type { Values } from "./references.ts";
import { type Bounded, bounded, gamma } from "./rounding.ts";

const at = (values: Values, index: number): number => values[index] as number;

export interface ConvolutionCase {
  readonly images: number;
  readonly height: number;
  readonly width: number;
  readonly inputs: number;
  readonly outputs: number;
  /** Rows and columns of the kernel: odd. */
  readonly size: number;
  /** [images, inputs, height, width] */
  readonly x: Values;
  /** [outputs, inputs, size, size] */
  readonly weight: Values;
  readonly bias: Values;
}

/** Calls `visit` with the places of each weight and input whose product is part of a result of the convolution. */
function taps(
  given: ConvolutionCase,
  image: number,
  out: number,
  row: number,
  column: number,
  visit: (weight: number, x: number) => void,
): void {
  const { height, width, inputs, size } = given;
  for (let input = 0; input < inputs; input++)
    for (let ky = 0; ky < size; ky++)
      for (let kx = 0; kx < size; kx++) {
        const [y, x] = [row + ky - (size - 1) / 2, column + kx - (size - 1) / 2];
        if (y < 0 || y >= height || x < 0 || x >= width) continue;
        visit(((out * inputs + input) * size + ky) * size + kx, ((image * inputs + input) * height + y) * width + x);
      }
}

/** Calls `visit` with each square of the results: where its pooled value stands, and image, channel, row and column of its first place. */
function squares(
  { images, height, width, outputs }: ConvolutionCase,
  visit: (square: number, image: number, out: number, row: number, column: number) => void,
): void {
  const [down, across] = [height >> 1, width >> 1];
  for (let square = 0; square < images * outputs * down * across; square++) {
    const plane = Math.floor(square / (down * across));
    const [row, column] = [2 * (Math.floor(square / across) % down), 2 * (square % across)];
    visit(square, Math.floor(plane / outputs), plane % outputs, row, column);
  }
}

export interface Pooled extends Bounded {
  /** The place of the largest in its square, or -1 where ReLU gives 0. */
  readonly chosen: Float64Array;
  /** Of each square, what its four places hold before ReLU, and the error that f32 may make of them. */
  readonly before: readonly { readonly values: readonly number[]; readonly bound: number }[];
}

export function convolutionBlock(given: ConvolutionCase): Pooled {
  const { images, height, width, inputs, outputs, size, x, weight, bias } = given;
  const result = bounded(images * outputs * (height >> 1) * (width >> 1));
  const chosen = new Float64Array(result.values.length);
  const before: { values: number[]; bound: number }[] = [];
  squares(given, (square, image, out, row, column) => {
    let bound = 0;
    const values = [0, 1, 2, 3].map((place) => {
      let [sum, magnitude] = [at(bias, out), Math.abs(at(bias, out))];
      taps(given, image, out, row + (place >> 1), column + (place & 1), (w, source) => {
        sum += at(weight, w) * at(x, source);
        magnitude += Math.abs(at(weight, w) * at(x, source));
      });
      bound = Math.max(bound, gamma(inputs * size * size + 1) * magnitude);
      return sum;
    });
    const largest = Math.max(...values);
    result.values[square] = Math.max(largest, 0);
    result.bounds[square] = bound;
    chosen[square] = largest > 0 ? values.indexOf(largest) : -1;
    before.push({ values, bound });
  });
  return { ...result, chosen, before };
}

/** Gradients from that of the pooled result, through the places in `chosen`. */
export function convolutionBlockGradient(given: ConvolutionCase, dy: Values, chosen: Values) {
  const { x, weight } = given;
  const [dx, dWeight, dBias] = [bounded(x.length), bounded(weight.length), bounded(given.bias.length)];
  const terms = new Float64Array(x.length);
  const add = ({ values, bounds }: Bounded, index: number, value: number): void => {
    values[index] = at(values, index) + value;
    bounds[index] = at(bounds, index) + Math.abs(value);
  };
  squares(given, (square, image, out, row, column) => {
    const place = at(chosen, square);
    if (place < 0) return;
    const slope = at(dy, square);
    add(dBias, out, slope);
    taps(given, image, out, row + (place >> 1), column + (place & 1), (w, source) => {
      add(dx, source, slope * at(weight, w));
      terms[source] = at(terms, source) + 1;
      add(dWeight, w, slope * at(x, source));
    });
  });
  // Products that a kernel adds as exact zeros cost no rounding, so the terms are those above.
  const squaresPerWeight = given.images * (given.height >> 1) * (given.width >> 1);
  for (const [index, bound] of dx.bounds.entries()) dx.bounds[index] = bound * gamma(at(terms, index) + 1);
  for (const { bounds } of [dWeight, dBias])
    for (const [index, bound] of bounds.entries()) bounds[index] = bound * gamma(squaresPerWeight + 1);
  return { dx, dWeight, dBias };
}
