// The recurrence of an LSTM and its gradient in f64 and in plain loops, with bounds on what f32 makes of each place of a window. Given what
// a device computed, each place starts from the device's values before it: errors are then judged where they are made.
import type { Values } from "./references.ts";
import { type Bounded, bounded, FUNCTIONS, gamma, UNIT } from "./rounding.ts";

const at = (values: Values, index: number): number => values[index] as number;

export interface LstmCase {
  readonly windows: number;
  readonly length: number;
  readonly hidden: number;
  /** [4 * hidden, hidden] */
  readonly recurrent: Values;
}
export interface LstmStates<T> {
  readonly y: T;
  readonly previous: T;
  readonly cells: T;
  readonly gates: T;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** `projected` [windows * length, 4 * hidden]. */
export function lstm(given: LstmCase, projected: Values, seen?: LstmStates<Values>): LstmStates<Bounded> {
  const { windows, length, hidden, recurrent } = given;
  const tokens = windows * length;
  const own = {
    y: bounded(tokens * hidden),
    previous: bounded(tokens * hidden),
    cells: bounded(tokens * hidden),
    gates: bounded(4 * tokens * hidden),
  };
  const from = seen ?? { y: own.y.values, previous: own.previous.values, cells: own.cells.values, gates: own.gates.values };
  for (let token = 0; token < tokens; token++) {
    const first = token % length === 0;
    for (let unit = 0; unit < hidden; unit++) {
      const place = token * hidden + unit;
      own.previous.values[place] = first ? 0 : at(from.y, place - hidden);
      for (let gate = 0; gate < 4; gate++) {
        const index = (4 * token + gate) * hidden + unit;
        let [sum, size] = [at(projected, index), Math.abs(at(projected, index))];
        for (let k = 0; !first && k < hidden; k++) {
          const product = at(recurrent, (gate * hidden + unit) * hidden + k) * at(from.y, (token - 1) * hidden + k);
          sum += product;
          size += Math.abs(product);
        }
        own.gates.values[index] = gate === 2 ? Math.tanh(sum) : sigmoid(sum);
        // Neither function is steeper than 1.
        own.gates.bounds[index] = gamma(hidden + 2) * size + FUNCTIONS;
      }
    }
    for (let unit = 0; unit < hidden; unit++) {
      const place = token * hidden + unit;
      const [i, f, g, o] = [0, 1, 2, 3].map((gate) => at(from.gates, (4 * token + gate) * hidden + unit)) as [
        number,
        number,
        number,
        number,
      ];
      const last = first ? 0 : at(from.cells, place - hidden);
      own.cells.values[place] = f * last + i * g;
      own.cells.bounds[place] = gamma(3) * (Math.abs(f * last) + Math.abs(i * g));
      own.y.values[place] = o * Math.tanh(at(from.cells, place));
      own.y.bounds[place] = FUNCTIONS;
    }
  }
  return own;
}

/** Gradient of `projected` from that of y [windows * length, hidden], given cells and gates of the forward pass. */
export function lstmGradient(
  given: LstmCase,
  dy: Values,
  { cells, gates }: Pick<LstmStates<Values>, "cells" | "gates">,
  seen?: Values,
): Bounded {
  const { windows, length, hidden, recurrent } = given;
  const own = bounded(4 * windows * length * hidden);
  const from = seen ?? own.values;
  for (let window = 0; window < windows; window++) {
    const [carried, doubt] = [new Float64Array(hidden), new Float64Array(hidden)];
    for (let t = length - 1; t >= 0; t--) {
      const token = window * length + t;
      for (let unit = 0; unit < hidden; unit++) {
        const place = token * hidden + unit;
        let [dh, size] = [at(dy, place), Math.abs(at(dy, place))];
        for (let j = 0; t + 1 < length && j < 4 * hidden; j++) {
          const product = at(from, (token + 1) * 4 * hidden + j) * at(recurrent, j * hidden + unit);
          dh += product;
          size += Math.abs(product);
        }
        const [i, f, g, o] = [0, 1, 2, 3].map((gate) => at(gates, (4 * token + gate) * hidden + unit)) as [number, number, number, number];
        const curve = Math.tanh(at(cells, place));
        const last = t === 0 ? 0 : at(cells, place - hidden);
        const slope = o * (1 - curve * curve);
        const dc = dh * slope + at(carried, unit);
        const dhError = gamma(4 * hidden + 2) * size;
        const dcError = dhError * slope + 2 * FUNCTIONS * Math.abs(dh * o) + gamma(4) * Math.abs(dc) + at(doubt, unit);
        const write = (gate: number, factor: number): void => {
          own.values[(4 * token + gate) * hidden + unit] = dc * factor;
          own.bounds[(4 * token + gate) * hidden + unit] = (dcError + gamma(6) * Math.abs(dc)) * Math.abs(factor);
        };
        write(0, g * i * (1 - i));
        write(1, last * f * (1 - f));
        write(2, i * (1 - g * g));
        own.values[(4 * token + 3) * hidden + unit] = dh * curve * o * (1 - o);
        own.bounds[(4 * token + 3) * hidden + unit] = (dhError + FUNCTIONS * Math.abs(dh)) * o * (1 - o);
        carried[unit] = dc * f;
        doubt[unit] = dcError * f + UNIT * Math.abs(dc * f);
      }
    }
  }
  return own;
}
