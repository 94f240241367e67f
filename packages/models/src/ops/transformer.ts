// The parts of a transformer: embedding, layer norm, causal attention, GELU. Each with its gradient, batched products on equal batch
// dimensions only.
import * as tf from "@tensorflow/tfjs-core";
import { differentiable } from "./differentiable.ts";

/** Rows of `table` [symbols, width] for `tokens` int32 [n]: [n, width]. The gradient is a product with the one-hot tokens, which, unlike
 *  a scatter, every backend has and adds up in a fixed order. */
export function embedding(tokens: tf.Tensor1D, table: tf.Tensor2D): tf.Tensor2D {
  return differentiable([table], () => ({
    value: tf.gather(table, tokens),
    kept: [tokens],
    backward: (dy, [symbols]) => [
      tf.matMul(tf.oneHot(symbols as tf.Tensor1D, table.shape[0]) as tf.Tensor2D, dy as tf.Tensor2D, true, false),
    ],
  })) as tf.Tensor2D;
}

/** Adds the first `length` rows of `positions` [context, width] to each window of x [rows * length, width]. */
export function addPositions(x: tf.Tensor2D, positions: tf.Tensor2D, length: number): tf.Tensor2D {
  const [tokens, width] = x.shape;
  const context = positions.shape[0];
  const windows = [tokens / length, length, width] as const;
  return differentiable([x, positions], () => {
    const used = context === length ? positions : tf.slice(positions, [0, 0], [length, width]);
    return {
      value: tf.reshape(tf.add(tf.reshape(x, [...windows]), used), x.shape),
      kept: [],
      backward: (dy) => {
        const summed = tf.sum(tf.reshape(dy, [...windows]), 0) as tf.Tensor2D;
        return [
          tf.reshape(dy, x.shape),
          context === length
            ? summed
            : tf.pad(summed, [
                [0, context - length],
                [0, 0],
              ]),
        ];
      },
    };
  }) as tf.Tensor2D;
}

/** Layer norm over the last axis of [n, width], epsilon 1e-5 (Ba et al., 1607.06450). */
export function layerNorm(x: tf.Tensor2D, gain: tf.Tensor1D, bias: tf.Tensor1D | undefined): tf.Tensor2D {
  return differentiable([x, gain, ...(bias === undefined ? [] : [bias])], () => {
    const centred = tf.sub(x, tf.mean(x, 1, true));
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), 1, true), 1e-5));
    const unit = tf.mul(centred, inverse);
    const scaled = tf.mul(unit, gain);
    return {
      value: bias === undefined ? scaled : tf.add(scaled, bias),
      kept: [unit, inverse],
      backward: (dy, kept) => {
        const [u, r] = kept as [tf.Tensor2D, tf.Tensor2D];
        const du = tf.mul(dy, gain);
        // dx = r * (du - mean(du) - u * mean(du * u)): the directions that centring and scaling take out.
        const along = tf.mul(u, tf.mean(tf.mul(du, u), 1, true));
        const dx = tf.mul(r, tf.sub(tf.sub(du, tf.mean(du, 1, true)), along));
        return [dx, tf.sum(tf.mul(dy, u), 0), ...(bias === undefined ? [] : [tf.sum(dy, 0)])];
      },
    };
  }) as tf.Tensor2D;
}

/** x * Phi(x), by erf or by GPT-2's tanh approximation (Hendrycks and Gimpel, 1606.08415). */
export function gelu(x: tf.Tensor2D, kind: "exact" | "tanh"): tf.Tensor2D {
  return differentiable([x], () => {
    if (kind === "exact") {
      const phi = tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);
      return {
        value: tf.mul(x, phi),
        kept: [x, phi],
        backward: (dy, kept) => {
          const [input, p] = kept as [tf.Tensor2D, tf.Tensor2D];
          const density = tf.mul(tf.exp(tf.mul(tf.square(input), -0.5)), 1 / Math.sqrt(2 * Math.PI));
          return [tf.mul(dy, tf.add(p, tf.mul(input, density)))];
        },
      };
    }
    const root = Math.sqrt(2 / Math.PI);
    const square = tf.square(x);
    const t = tf.tanh(tf.mul(tf.mul(x, root), tf.add(tf.mul(square, 0.044715), 1)));
    const phi = tf.mul(tf.add(t, 1), 0.5);
    return {
      value: tf.mul(x, phi),
      kept: [x, t, phi, square],
      backward: (dy, kept) => {
        const [input, tanh, p, x2] = kept as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
        const inner = tf.mul(tf.add(tf.mul(x2, 3 * 0.044715), 1), root / 2);
        const slope = tf.mul(tf.mul(input, tf.sub(1, tf.square(tanh))), inner);
        return [tf.mul(dy, tf.add(p, slope))];
      },
    };
  }) as tf.Tensor2D;
}

/** 0 where a token may look, a large negative number where it may not: [length, length]. Finite, so that no backend meets inf - inf. */
function causalMask(length: number): tf.Tensor2D {
  const mask = new Float32Array(length * length);
  for (let from = 0; from < length; from++) mask.fill(-1e9, from * length + from + 1, (from + 1) * length);
  return tf.tensor2d(mask, [length, length]);
}

/** softmax(q kT / sqrt(d) + mask) v for each head. `qkv` is [rows * length, 3 * width], the heads side by side in each third; the result
 *  [rows * length, width] (Vaswani et al., 1706.03762). */
export function causalAttention(qkv: tf.Tensor2D, heads: number, length: number): tf.Tensor2D {
  const [tokens, triple] = qkv.shape;
  const rows = tokens / length;
  const width = triple / 3;
  const depth = width / heads;
  const scale = 1 / Math.sqrt(depth);
  const perHead: [number, number, number] = [rows * heads, length, depth];

  return differentiable([qkv], () => {
    const thirds = tf.transpose(tf.reshape(qkv, [rows, length, 3, heads, depth]), [2, 0, 3, 1, 4]);
    const [q, k, v] = tf.split(tf.reshape(thirds, [3 * rows * heads, length, depth]), 3) as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
    const scores = tf.add(tf.mul(tf.matMul(q, k, false, true), scale), causalMask(length));
    const attention = tf.softmax(scores) as tf.Tensor3D;
    const mixed = tf.reshape(tf.matMul(attention, v), [rows, heads, length, depth]);
    return {
      value: tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [tokens, width]),
      kept: [q, k, v, attention],
      backward: (dy, kept) => {
        const [query, key, value, p] = kept as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
        const dMixed = tf.reshape(tf.transpose(tf.reshape(dy, [rows, length, heads, depth]), [0, 2, 1, 3]), perHead) as tf.Tensor3D;
        const dValue = tf.matMul(p, dMixed, true, false);
        const weighted = tf.mul(tf.matMul(dMixed, value, false, true), p);
        const dScores = tf.mul(tf.sub(weighted, tf.mul(p, tf.sum(weighted, 2, true))), scale) as tf.Tensor3D;
        const dQuery = tf.matMul(dScores, key);
        const dKey = tf.matMul(dScores, query, true, false);
        const dThirds = tf.reshape(tf.concat([dQuery, dKey, dValue], 0), [3, rows, heads, length, depth]);
        return [tf.reshape(tf.transpose(dThirds, [1, 3, 0, 2, 4]), qkv.shape)];
      },
    };
  }) as tf.Tensor2D;
}
