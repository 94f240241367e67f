// A batch in smaller pieces, for a device whose memory does not hold a whole one: the same sums, one piece after another.
import type { Batch, StepResult } from "@weft/tensors";

/** Pieces of exactly `rows` rows; the last is padded with rows that weigh nothing. */
export function piecesOf(batch: Batch, rows: number): readonly Batch[] {
  if (rows >= batch.rows) return [batch];
  const part = <T extends Float32Array | Int32Array>(values: T, from: number): T => {
    const width = values.length / batch.rows;
    const piece = (values instanceof Int32Array ? new Int32Array(rows * width) : new Float32Array(rows * width)) as T;
    piece.set(values.subarray(from * width, Math.min(from + rows, batch.rows) * width));
    return piece;
  };
  return Array.from({ length: Math.ceil(batch.rows / rows) }, (_, index) => {
    const from = index * rows;
    return { rows, inputs: part(batch.inputs, from), targets: part(batch.targets, from), weights: part(batch.weights, from) };
  });
}

/** Sums of all pieces, in order. */
export async function stepInPieces(step: (piece: Batch) => Promise<StepResult>, batch: Batch, rows: number): Promise<StepResult> {
  let sum: StepResult | null = null;
  for (const piece of piecesOf(batch, rows)) sum = added(sum, await step(piece));
  return sum as StepResult;
}

/** `sum` with `more` in it; its gradient is changed in place. */
export function added(sum: StepResult | null, more: StepResult): StepResult {
  if (sum === null) return more;
  const { gradientSum } = sum;
  for (let at = 0; at < gradientSum.length; at++) gradientSum[at] = (gradientSum[at] as number) + (more.gradientSum[at] as number);
  return { gradientSum, lossSum: sum.lossSum + more.lossSum };
}
