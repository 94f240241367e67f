// One layer of an LSTM (Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000), as PyTorch's `nn.LSTM` has it.
// What every step of the recurrence shares, the products with the layer's input, is done for the whole window at once.
import * as tf from "@tensorflow/tfjs-core";
import { add, differentiable } from "./differentiable.ts";
import { hasFused, runFused } from "./fused.ts";
import { linear } from "./linear.ts";

/** A layer's parameters: [4 * hidden, inputs], [4 * hidden, hidden] and two of [4 * hidden]; gates in the order i, f, g, o. */
export interface LstmParameters {
  readonly inputWeight: tf.Tensor2D;
  readonly recurrentWeight: tf.Tensor2D;
  readonly inputBias: tf.Tensor1D;
  readonly recurrentBias: tf.Tensor1D;
}

/** x [rows * length, inputs] to h [rows * length, hidden], each window from a state of zeros. */
export function lstmLayer(x: tf.Tensor2D, parameters: LstmParameters, length: number): tf.Tensor2D {
  const { inputWeight, recurrentWeight, inputBias, recurrentBias } = parameters;
  const projected = linear(x, inputWeight, { layout: "out-in", bias: add(inputBias, recurrentBias) });
  return recurrence(projected, recurrentWeight, length);
}

/** What the recurrence makes of windows; `tokens` are rows * length, window after window. */
interface Recurrence {
  /** h_t [tokens, hidden] */
  readonly y: tf.Tensor2D;
  /** h_(t-1) [tokens, hidden]: 0 at the first token of a window. */
  readonly previous: tf.Tensor2D;
  /** c_t [tokens, hidden] */
  readonly cells: tf.Tensor2D;
  /** i, f, g, o after their activations [tokens, 4 * hidden] */
  readonly gates: tf.Tensor2D;
}

/**
 * `projected` [tokens, 4 * hidden] is x_t W_i^T + b. z_t = projected_t + h_(t-1) W_h^T; i, f, o = sigmoid, g = tanh of its quarters;
 * c_t = f c_(t-1) + i g; h_t = o tanh(c_t).
 *
 * Its fused operation is `WeftLstm`, all tensors f32, with the attribute `length`:
 * - forward `{ projected [tokens, 4 * hidden], recurrent: W_h [4 * hidden, hidden] }` to `[y, previous, cells, gates]` of `Recurrence`;
 * - `WeftLstmGradient` `{ dy [tokens, hidden], cells, gates, recurrent }` to `[dProjected [tokens, 4 * hidden]]`, the gradient of z.
 */
function recurrence(projected: tf.Tensor2D, recurrent: tf.Tensor2D, length: number): tf.Tensor2D {
  return differentiable([projected, recurrent], () => {
    const { y, previous, cells, gates } = forward(projected, recurrent, length);
    return {
      value: y,
      kept: [previous, cells, gates],
      backward: (dy, kept) => {
        const [before, c, g] = kept as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
        const dz = backward(dy as tf.Tensor2D, c, g, recurrent, length);
        return [dz, tf.matMul(dz, before, true, false)];
      },
    };
  }) as tf.Tensor2D;
}

function forward(projected: tf.Tensor2D, recurrent: tf.Tensor2D, length: number): Recurrence {
  if (!hasFused("WeftLstm")) return plainForward(projected, recurrent, length);
  const results = runFused("WeftLstm", { projected, recurrent }, { length });
  const [y, previous, cells, gates] = results as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
  return { y, previous, cells, gates };
}

function backward(dy: tf.Tensor2D, cells: tf.Tensor2D, gates: tf.Tensor2D, recurrent: tf.Tensor2D, length: number): tf.Tensor2D {
  if (!hasFused("WeftLstm")) return plainBackward(dy, cells, gates, recurrent, length);
  return runFused("WeftLstmGradient", { dy, cells, gates, recurrent }, { length })[0] as tf.Tensor2D;
}

/** [rows * length, width] to the [rows, width] of each place in the windows. */
const places = (x: tf.Tensor2D, length: number): tf.Tensor2D[] =>
  tf.unstack(tf.reshape(x, [x.shape[0] / length, length, x.shape[1]]), 1) as tf.Tensor2D[];

/** The way back. */
const windows = (parts: tf.Tensor2D[]): tf.Tensor2D => {
  const [rows, width] = (parts[0] as tf.Tensor2D).shape;
  return tf.reshape(tf.stack(parts, 1), [rows * parts.length, width]);
};

const quarters = (x: tf.Tensor2D): [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D, tf.Tensor2D] =>
  tf.split(x, 4, 1) as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];

function plainForward(projected: tf.Tensor2D, recurrent: tf.Tensor2D, length: number): Recurrence {
  return tf.tidy(() => {
    const [tokens, fourfold] = projected.shape;
    let h = tf.zeros([tokens / length, fourfold / 4]) as tf.Tensor2D;
    let c = h;
    const parts = places(projected, length).map((place) => {
      const before = h;
      const [i, f, g, o] = quarters(tf.add(place, tf.matMul(before, recurrent, false, true)));
      const gates = [tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)] as const;
      c = tf.add(tf.mul(gates[1], c), tf.mul(gates[0], gates[2]));
      h = tf.mul(gates[3], tf.tanh(c));
      return { h, before, c, gates: tf.concat([...gates], 1) as tf.Tensor2D };
    });
    return {
      y: windows(parts.map((part) => part.h)),
      previous: windows(parts.map((part) => part.before)),
      cells: windows(parts.map((part) => part.c)),
      gates: windows(parts.map((part) => part.gates)),
    };
  });
}

/** Back through the places: dh = dy + dz_(t+1) W_h, dc = dh o (1 - tanh(c)^2) + dc_(t+1) f_(t+1), and dz through the activations. */
function plainBackward(dy: tf.Tensor2D, cells: tf.Tensor2D, gates: tf.Tensor2D, recurrent: tf.Tensor2D, length: number): tf.Tensor2D {
  return tf.tidy(() => {
    const [slopes, states, activated] = [dy, cells, gates].map((tensor) => places(tensor, length)) as [
      tf.Tensor2D[],
      tf.Tensor2D[],
      tf.Tensor2D[],
    ];
    const sigmoidSlope = (s: tf.Tensor2D): tf.Tensor2D => tf.mul(s, tf.sub(1, s));
    const gradients: tf.Tensor2D[] = [];
    let carried: tf.Tensor2D | null = null;
    for (let t = length - 1; t >= 0; t--) {
      const [i, f, g, o] = quarters(activated[t] as tf.Tensor2D);
      const after = gradients[0];
      const own = slopes[t] as tf.Tensor2D;
      const dh: tf.Tensor2D = after === undefined ? own : tf.add(own, tf.matMul(after, recurrent));
      const bent = tf.tanh(states[t] as tf.Tensor2D);
      const through: tf.Tensor2D = tf.mul(tf.mul(dh, o), tf.sub(1, tf.square(bent)));
      const dc: tf.Tensor2D = carried === null ? through : tf.add(through, carried);
      const before = states[t - 1] ?? tf.zerosLike(bent);
      gradients.unshift(
        tf.concat(
          [
            tf.mul(tf.mul(dc, g), sigmoidSlope(i)),
            tf.mul(tf.mul(dc, before), sigmoidSlope(f)),
            tf.mul(tf.mul(dc, i), tf.sub(1, tf.square(g))),
            tf.mul(tf.mul(dh, bent), sigmoidSlope(o)),
          ],
          1,
        ),
      );
      carried = tf.mul(dc, f);
    }
    return windows(gradients);
  });
}
