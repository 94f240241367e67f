// The learning rate as a function of the step alone. Decided once, when a round opens: the value stands in the ledger,
// so that replay never computes a cosine.
import type { RunSpec } from "@weft/protocol";

/**
 * Learning rate, an exact f32, of the round that takes weights with `steps` rounds behind them one further. Warm-up rises linearly and reaches the full rate at its last
 * round; then constant, or a cosine or a line down towards `finalFraction` of it, which it would reach one round after the last: no
 * round is spent at rate 0.
 */
export function learningRate(spec: RunSpec, steps: number): number {
  const { schedule, optimizer, versions } = spec.training;
  return Math.fround(optimizer.learningRate * factor(schedule, versions, steps));
}

function factor(schedule: RunSpec["training"]["schedule"], versions: number, steps: number): number {
  const warmup = schedule.warmupVersions;
  if (steps < warmup) return (steps + 1) / warmup;
  const progress = Math.min(1, (steps - warmup) / Math.max(1, versions - warmup));
  switch (schedule.kind) {
    case "constant":
      return 1;
    case "linear":
      return 1 - (1 - schedule.finalFraction) * progress;
    case "cosine":
      return schedule.finalFraction + (1 - schedule.finalFraction) * 0.5 * (1 + Math.cos(Math.PI * progress));
    default:
      return schedule satisfies never;
  }
}
