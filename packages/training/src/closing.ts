// The end of a round and the beginning of the next: what the closing worker is given, what is published, what follows.
// Knows nothing of arithmetic on weights.
import { type ContributionHeader, type EventOf, f32FromHex, f32ToHex, type LeaseId, type LedgerEvent } from "@weft/protocol";
import type { CloseRound, Decision, Effect, Input } from "./inputs.ts";
import { isCheckpointDue, isEvaluationDue } from "./owed.ts";
import { learningRate } from "./schedule.ts";
import { isComplete, type ReadonlyRound, type ReadonlyRun } from "./state.ts";

/** The round that turns `base` into base + 1: its part of the sample stream, and its learning rate as the ledger keeps it. */
export function openingOf(state: ReadonlyRun, base: number): EventOf<"round-opened"> {
  const { samplesPerVersion } = state.spec.training;
  return {
    type: "round-opened",
    base,
    start: base * samplesPerVersion,
    samples: samplesPerVersion,
    learningRate: f32ToHex(learningRate(state.spec, base)),
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
  const { versions } = state.spec.training;
  const next: LedgerEvent = version >= versions ? { type: "run-finished", version } : openingOf(state, version);
  const effects: Effect[] = [];
  if (isEvaluationDue(state.spec, version)) effects.push({ kind: "evaluate", version, weights: input.weights });
  else if (isCheckpointDue(state.spec, version)) effects.push({ kind: "checkpoint", version });
  effects.push({ kind: "announce", version });
  return {
    events: [publicationOf(round, input), next],
    effects,
    reason: `Version ${version} of ${versions} is published${version >= versions ? "; the run is finished." : "."}`,
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
