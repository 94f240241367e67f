// The end of a round and the beginning of the next: what the closing worker is given, what is published, what follows.
// Knows nothing of arithmetic on weights.
import { type ContributionHeader, type EventOf, f32FromHex, f32ToHex, type LeaseId, type RunSpec } from "@weft/protocol";
import type { CloseRound, Decision, Effect, Input } from "./inputs.ts";
import { isCheckpointDue, isEvaluationDue } from "./owed.ts";
import { learningRate } from "./schedule.ts";
import { isComplete, type ReadonlyRound, type ReadonlyRun, type VersionPoint } from "./state.ts";

/**
 * What follows a version: the round that turns it into the next, with its part of the sample stream and its learning rate as the ledger
 * keeps it; or, where the run has all its steps, its end.
 */
export function sequelOf(
  spec: RunSpec,
  { version, position, steps }: Pick<VersionPoint, "version" | "position" | "steps">,
): EventOf<"round-opened" | "run-finished"> {
  if (steps >= spec.training.versions) return { type: "run-finished", version };
  return {
    type: "round-opened",
    base: version,
    start: position,
    samples: spec.training.mode === "gradient" ? spec.training.samplesPerVersion : 0,
    learningRate: f32ToHex(learningRate(spec, steps)),
  };
}

/** Everything the closing worker needs, contributions by position. `last` is the admission that is being decided, not yet in the state. */
export function closeRoundOf(
  state: ReadonlyRun,
  round: ReadonlyRound,
  last?: { readonly lease: LeaseId; readonly header: ContributionHeader },
): CloseRound {
  const contributions: CloseRound["contributions"][number][] = [];
  for (const { lease, samples, settled } of round.leases.values()) {
    const answer = settled ?? (last?.lease === lease ? last.header : null);
    if (answer === null) throw new Error(`round ${round.base} is not complete: lease ${lease} is not settled`);
    const { volunteer, sha256, codec, lossMean } = answer;
    contributions.push({ lease, volunteer, sha256, samples, codec, lossMean: f32FromHex(lossMean) });
  }
  const { weights, optimizer } = state;
  return { base: round.base, weights, optimizer, learningRate: f32FromHex(round.learningRate), contributions };
}

export function decideClosed(state: ReadonlyRun, input: Extract<Input, { kind: "closed" }>): Decision {
  const { round } = state;
  const active = state.phase === "running" || state.phase === "paused";
  if (!active || round === null || round.base !== input.base || !isComplete(round))
    return {
      events: [],
      effects: [],
      reason: `Version ${input.base + 1} is not wanted: the run is ${state.phase} at version ${state.version}.`,
    };
  const version = round.base + 1;
  const steps = state.steps + 1;
  const sequel = sequelOf(state.spec, { version, position: round.start + round.samples, steps });
  const effects: Effect[] = [];
  if (isEvaluationDue(state.spec, version, steps)) effects.push({ kind: "evaluate", version, weights: input.weights });
  else if (isCheckpointDue(state.spec, version, steps)) effects.push({ kind: "checkpoint", version });
  effects.push({ kind: "announce", version });
  const behind = steps === version ? `of ${state.spec.training.versions}` : `(step ${steps} of ${state.spec.training.versions})`;
  return {
    events: [publicationOf(round, input), sequel],
    effects,
    reason: `Version ${version} ${behind} is published${sequel.type === "run-finished" ? "; the run is finished." : "."}`,
  };
}

function publicationOf(round: ReadonlyRound, input: Extract<Input, { kind: "closed" }>): EventOf<"version-published"> {
  const contributions: EventOf<"version-published">["contributions"] = [];
  for (const { lease, samples, settled } of round.leases.values()) {
    if (settled === null) throw new Error(`round ${round.base} is not complete: lease ${lease} is not settled`);
    const weight = f32ToHex(samples / round.samples);
    contributions.push({ lease, volunteer: settled.volunteer, sha256: settled.sha256, samples, weight, reason: null });
  }
  const { weights, optimizer, norm, lossMean } = input;
  return {
    type: "version-published",
    version: round.base + 1,
    weights,
    optimizer,
    learningRate: round.learningRate,
    norm: f32ToHex(norm),
    lossMean: f32ToHex(lossMean),
    samples: round.samples,
    contributions,
  };
}
