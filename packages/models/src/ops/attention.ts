// Causal self-attention. Batched products are on equal batch dimensions only.
import * as tf from "@tensorflow/tfjs-core";
import { differentiable } from "./differentiable.ts";
import { hasFused, runFused } from "./fused.ts";

/** Wider heads do not fit the registers of a GPU's threads. */
const MAX_GPU_DEPTH = 128;

/** softmax(q kT / sqrt(d) + mask) v for each head. `qkv` is [rows * length, 3 * width], the heads side by side in each third; the result
 *  [rows * length, width] (Vaswani et al., 1706.03762). */
export function causalAttention(qkv: tf.Tensor2D, heads: number, length: number): tf.Tensor2D {
  const depth = qkv.shape[1] / 3 / heads;
  const tooDeep = depth > MAX_GPU_DEPTH && tf.getBackend() === "webgpu";
  if (tooDeep || !hasFused("WeftAttention")) return plainAttention(qkv, heads, length);
  return differentiable([qkv], () => {
    const [y, logSums] = runFused("WeftAttention", { qkv }, { heads, length }) as [tf.Tensor2D, tf.Tensor2D];
    return {
      value: y,
      kept: [y, qkv, logSums],
      backward: (dy, [o, q, s]) => runFused("WeftAttentionGradient", { dy, y: o, qkv: q, logSums: s }, { heads, length }),
    };
  }) as tf.Tensor2D;
}

/** 0 where a token may look, a large negative number where it may not: [length, length]. Finite, so that no backend meets inf - inf. */
function causalMask(length: number): tf.Tensor2D {
  const mask = new Float32Array(length * length);
  for (let from = 0; from < length; from++) mask.fill(-1e9, from * length + from + 1, (from + 1) * length);
  return tf.tensor2d(mask, [length, length]);
}

function plainAttention(qkv: tf.Tensor2D, heads: number, length: number): tf.Tensor2D {
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
