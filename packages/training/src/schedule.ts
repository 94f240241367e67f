// The learning rate as a function of the weights' place alone. Decided once, when a round opens: the value stands in the ledger,
// so that replay never computes a cosine.
import type { RunSpec, RunSpecOf, ScheduleSpec, StreamRange } from "@weft/protocol";

/** Where weights stand in their run: what lies behind them. */
export interface Place {
  /** Rounds. */
  readonly steps: number;
  /** Samples that they have counted: see samplesCounted. */
  readonly samples: number;
}

/**
 * Samples that a version's weights have counted, of a sampler whose positions are samples: all before its position but those that are pending.
 * So whatever carries these two, a roll-back, a resumed run or a checkpoint, carries the schedule's place.
 */
export const samplesCounted = ({
  position,
  pending = [],
}: {
  readonly position: number;
  readonly pending?: readonly StreamRange[];
}): number => pending.reduce((rest, { length }) => rest - length, position);

/**
 * Learning rate of the outer optimiser, an exact f32, of the round that takes weights at `place` one further. Warm-up rises linearly and
 * reaches the full rate at its last round; then constant, steps down, or a cosine or a line down towards `finalFraction` of it, which it would
 * reach one round after the last: no round is spent at rate 0.
 */
export function learningRate(spec: RunSpec, place: Place): number {
  const { training } = spec;
  if (training.mode === "local-steps") return Math.fround(training.optimizer.learningRate);
  const { optimizer, schedule, versions, samplesPerVersion } = training;
  return Math.fround(optimizer.learningRate * factor(schedule, versions, samplesPerVersion, place));
}

/** The same of the local steps of a lease that begins on weights at `place`; the outer rate is constant then. */
export function innerLearningRate({ training: { inner, versions, batch } }: RunSpecOf<"local-steps">, place: Place): number {
  return Math.fround(inner.optimizer.learningRate * factor(inner.schedule, versions, batch, place));
}

/** `batch`: samples of the step for which the rate is wanted. */
function factor(schedule: ScheduleSpec, versions: number, batch: number, place: Place): number {
  const isBySamples = schedule.by === "samples";
  const at = isBySamples ? place.samples : place.steps;
  const warmup = isBySamples ? schedule.warmupSamples : schedule.warmupVersions;
  // As far as the step reaches, so that the first is not at rate 0.
  if (at < warmup) return Math.min(1, (at + (isBySamples ? batch : 1)) / warmup);
  const progress = (end: number): number => Math.min(1, (at - warmup) / Math.max(1, end - warmup));
  switch (schedule.kind) {
    case "constant":
      return 1;
    case "linear":
      return 1 - (1 - schedule.finalFraction) * progress(schedule.by === "samples" ? schedule.samples : versions);
    case "cosine": {
      const along = progress(schedule.by === "samples" ? schedule.samples : versions);
      return schedule.finalFraction + (1 - schedule.finalFraction) * 0.5 * (1 + Math.cos(Math.PI * along));
    }
    case "step":
      return schedule.milestones.reduce((left, milestone) => (milestone <= at ? left * schedule.factor : left), 1);
    default:
      return schedule satisfies never;
  }
}
