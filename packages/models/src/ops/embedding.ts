// Token embedding with learned positions.
import * as tf from "@tensorflow/tfjs-core";
import { differentiable } from "./differentiable.ts";
import { hasFused, runFused } from "./fused.ts";

/** Rows of `table` [symbols, width] for `tokens` int32 [rows * length], plus the row of `positions` [context, width] for the place of each
 *  in its window: [rows * length, width]. */
export function embedding(tokens: tf.Tensor1D, table: tf.Tensor2D, positions: tf.Tensor2D, length: number): tf.Tensor2D {
  if (!hasFused("WeftEmbedding")) return addPositions(rowsOf(tokens, table), positions, length);
  const extents = { symbols: table.shape[0], context: positions.shape[0], length };
  return differentiable([table, positions], () => ({
    value: (runFused("WeftEmbedding", { tokens, table, positions }, { length }) as [tf.Tensor2D])[0],
    kept: [tokens],
    backward: (dy, [ids]) => runFused("WeftEmbeddingGradient", { dy, tokens: ids }, extents),
  })) as tf.Tensor2D;
}

/** Rows of `table` [symbols, width] for `tokens` int32 [n], without positions: [n, width]. */
export function rowsOf(tokens: tf.Tensor1D, table: tf.Tensor2D): tf.Tensor2D {
  const symbols = table.shape[0];
  return differentiable([table], () => {
    if (hasFused("WeftRows"))
      return {
        value: (runFused("WeftRows", { tokens, table }, {}) as [tf.Tensor2D])[0],
        kept: [tokens],
        backward: (dy, [ids]) => runFused("WeftRowsGradient", { dy, tokens: ids }, { symbols }),
      };
    return {
      value: tf.gather(table, tokens),
      kept: [tokens],
      // A product with the one-hot tokens, which, unlike a scatter, every backend has and adds up in a fixed order.
      backward: (dy, [ids]) => [tf.matMul(tf.oneHot(ids as tf.Tensor1D, symbols) as tf.Tensor2D, dy as tf.Tensor2D, true, false)],
    };
  }) as tf.Tensor2D;
}

/** Adds the first `length` rows of `positions` [context, width] to each window of x [rows * length, width]. */
function addPositions(x: tf.Tensor2D, positions: tf.Tensor2D, length: number): tf.Tensor2D {
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
