// Closing a round: version v becomes v + 1 as a pure function of the weights and optimiser state of v, the learning rate of the
// ledger, and the admitted contributions in canonical order. Closing, replay and audit all call it, so their bits agree.
// Knows no storage, no ledger, no clock.
import { ok, type Result, type RunSpec, refuse } from "@weft/protocol";
import { allFinite, clipNorm, codecNamed, norm } from "@weft/tensors";
import { published } from "./downlink.ts";
import { outerOptimizer } from "./optimizers/outer-optimizers.ts";
import type { AggregationRule } from "./rules/aggregation-rule.ts";
import { aggregationRule } from "./rules/aggregation-rules.ts";

export interface RoundContribution {
  readonly samples: number;
  /** What it counts in the aggregate; absent: its samples. 0: it is not counted, nor decoded. */
  readonly weight?: number;
  readonly codec: string;
  /** Encoded update: in gradient mode the mean gradient over its samples. May be an unaligned view. */
  readonly bytes: Uint8Array;
  /** Mean loss over its samples, as the contribution's header says. */
  readonly lossMean?: number;
}

export interface RoundBase {
  readonly spec: RunSpec;
  /** Published weights of the base version; not changed. */
  readonly weights: Float32Array;
  /** Rounds that lie behind them. */
  readonly steps: number;
  /** Optimiser state of the base version; null at version 0. */
  readonly optimizer: Uint8Array | null;
  /** The f32 of the round's `round-opened` event. */
  readonly learningRate: number;
}

export interface NextVersion {
  /** As they are published. */
  readonly weights: Float32Array;
  /** What leads from the base's published weights to these; null where the run has no such deltas, or this one cannot be said as one. */
  readonly delta: Uint8Array | null;
  readonly optimizer: Uint8Array;
  /** Norm of the aggregate before clipping, as f32. */
  readonly norm: number;
  /** Mean of the losses given, weighted by samples, as f32; null where none was given. */
  readonly lossMean: number | null;
  /** What each contribution counted, in the order given, as f32. */
  readonly contributionWeights: readonly number[];
}

/** A round that takes its contributions one at a time, so that one decoded update is in memory however many there are. */
export interface OpenRound {
  /** In canonical order. Refuses (`damaged`) what does not decode: it was admitted, so its bytes have changed since. */
  add(contribution: RoundContribution): Result<null>;
  /** Called once. Refuses `damaged` for an optimiser state that cannot be used, `not-finite` where the result is not. */
  close(): Result<NextVersion>;
}

/** `fastMean` as `aggregationRule` has it. */
export function openRound(base: RoundBase, fastMean?: AggregationRule): OpenRound {
  const { training } = base.spec;
  const size = base.weights.length;
  const aggregation = aggregationRule(training.rule, fastMean).start(size);
  const contributionWeights: number[] = [];
  let lossSum = 0;
  let lossSamples = 0;
  return {
    add: (contribution) => {
      const weight = Math.fround(contribution.weight ?? contribution.samples);
      if (weight > 0) {
        const codec = codecNamed(contribution.codec);
        if (codec === undefined) return refuse("damaged", `contribution ${contributionWeights.length} has an unknown codec`);
        const refused = aggregation.add({ codec, bytes: contribution.bytes }, weight);
        if (refused !== null) return refuse("damaged", `contribution ${contributionWeights.length}: ${refused.detail}`);
      }
      if (contribution.lossMean !== undefined) {
        lossSum += contribution.samples * contribution.lossMean;
        lossSamples += contribution.samples;
      }
      contributionWeights.push(weight);
      return ok(null);
    },
    close: () => {
      const optimizer = outerOptimizer(training.optimizer, size, base.optimizer);
      if (!optimizer.ok) return optimizer;
      const folded = aggregation.finish();
      if (!folded.ok) return refuse("damaged", `a contribution does not decode: ${folded.detail}`);
      const { aggregate } = folded;
      if (aggregate === null) return refuse("bad-command", "a round without any weight cannot close");
      if (!allFinite(aggregate)) return refuse("not-finite", "the aggregate of the round is not finite");
      const longest = training.mode === "local-steps" ? undefined : training.clipNorm;
      const before = longest === undefined ? norm(aggregate) : clipNorm(aggregate, longest);
      const master = (optimizer.value.master ?? base.weights).slice();
      optimizer.value.step(master, aggregate, base.learningRate);
      if (!allFinite(master)) return refuse("not-finite", "the weights of the next version are not finite: the run has diverged");
      const { weights, delta, kept } = published(base, master);
      return ok({
        weights,
        delta,
        optimizer: optimizer.value.state(kept),
        norm: Math.fround(before),
        lossMean: lossSamples === 0 ? null : Math.fround(lossSum / lossSamples),
        contributionWeights,
      });
    },
  };
}

/** The whole round at once, over contributions in canonical order. */
export function closeRound(base: RoundBase, contributions: Iterable<RoundContribution>): Result<NextVersion> {
  const round = openRound(base);
  for (const contribution of contributions) {
    const added = round.add(contribution);
    if (!added.ok) return added;
  }
  return round.close();
}
