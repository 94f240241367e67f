// Loss and right answers from a model's logits, in f64 on the CPU: for evaluation, where logits are read back anyway. Knows no backend.
import type { ModelSpec } from "@weft/protocol";
import type { Batch, EvaluationResult } from "@weft/tensors";
import { outputsOf } from "./layout.ts";

/** `logits` is [rows, classes] or [rows, context, vocabulary]; rows of weight 0 count for nothing. Loss as in `StepResult`. */
export function scoreLogits(model: ModelSpec, logits: Float32Array, batch: Batch): EvaluationResult {
  const width = outputsOf(model);
  const perRow = batch.targets.length / batch.rows;
  if (logits.length !== batch.targets.length * width)
    throw new Error(`${logits.length} logits for ${batch.targets.length} predictions of ${width}`);
  let lossSum = 0;
  let correct = 0;
  let predictions = 0;
  for (let row = 0; row < batch.rows; row++) {
    if (batch.weights[row] === 0) continue;
    let rowLoss = 0;
    for (let position = row * perRow; position < (row + 1) * perRow; position++) {
      const { logSumExp, best } = summarise(logits, position * width, width);
      const target = batch.targets[position] as number;
      rowLoss += logSumExp - (logits[position * width + target] as number);
      if (best === target) correct++;
      predictions++;
    }
    lossSum += rowLoss / perRow;
  }
  return { lossSum, correct, predictions };
}

function summarise(logits: Float32Array, start: number, width: number): { readonly logSumExp: number; readonly best: number } {
  let best = 0;
  let highest = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < width; index++) {
    const value = logits[start + index] as number;
    if (value > highest) {
      highest = value;
      best = index;
    }
  }
  let sum = 0;
  for (let index = 0; index < width; index++) sum += Math.exp((logits[start + index] as number) - highest);
  return { logSumExp: highest + Math.log(sum), best };
}
