// The learning rate as a function of the step alone. Decided once, when a round opens: the value stands in the ledger,
// so that replay never computes a cosine.
import type { RunSpec, RunSpecOf, ScheduleSpec } from "@weft/protocol";

/**
 * Learning rate of the outer optimiser, an exact f32, of the round that takes weights with `steps` rounds behind them one further. Warm-up rises linearly and reaches the full rate at its last
 * round; then constant, or a cosine or a line down towards `finalFraction` of it, which it would reach one round after the last: no
 * round is spent at rate 0.
 */
export function learningRate(spec: RunSpec, steps: number): number {
  const { training } = spec;
  if (training.mode === "local-steps") return Math.fround(training.optimizer.learningRate);
  return Math.fround(training.optimizer.learningRate * factor(training.schedule, training.versions, steps));
}

/** The same of the local steps of a lease that begins on weights with `steps` rounds behind them; the outer rate is constant then. */
export function innerLearningRate({ training: { inner, versions } }: RunSpecOf<"local-steps">, steps: number): number {
  return Math.fround(inner.optimizer.learningRate * factor(inner.schedule, versions, steps));
}

function factor(schedule: ScheduleSpec, versions: number, steps: number): number {
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
