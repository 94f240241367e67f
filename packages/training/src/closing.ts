// The end of a round and the beginning of the next: what the closing worker is given, what is published, what follows.
// Knows nothing of arithmetic on weights.
import { type ContributionHeader, type EventOf, type F32Hex, f32FromHex, f32ToHex, type LedgerEvent, type RunSpec } from "@weft/protocol";
import { type Endings, inCanonicalOrder, liveEnds } from "./endings.ts";
import type { CloseRound, Decision, Effect, Input } from "./inputs.ts";
import { isCheckpointDue, isEvaluationDue } from "./owed.ts";
import { closesAtMs, contributionWeights } from "./rounds.ts";
import { learningRate, type Place, samplesCounted } from "./schedule.ts";
import { hasLocalSteps, isComplete, type ReadonlyLease, type ReadonlyRound, type ReadonlyRun, type VersionPoint } from "./state.ts";

/**
 * What follows a version: the round that turns it into the next, with its part of the sample stream and its learning rate as the ledger
 * keeps it; or, where the run has all its steps, its end.
 */
export function sequelOf(
  spec: RunSpec,
  { version, position, steps, samples }: Pick<VersionPoint, "version" | "position"> & Place,
): EventOf<"round-opened" | "run-finished"> {
  if (steps >= spec.training.versions) return { type: "run-finished", version };
  return {
    type: "round-opened",
    base: version,
    start: position,
    samples: spec.training.mode === "gradient" ? spec.training.samplesPerVersion : 0,
    learningRate: f32ToHex(learningRate(spec, { steps, samples })),
  };
}

/** An admission that is being decided, not yet in the state. */
export interface Admission {
  readonly header: ContributionHeader;
  /** The version that the answer was computed on. */
  readonly base: number;
}

/** One contribution that a version will count. */
interface Counted {
  readonly lease: string;
  readonly start: number;
  readonly samples: number;
  readonly volunteer: string;
  readonly sha256: string;
  readonly codec: string;
  readonly lossMean: F32Hex;
  readonly base: number;
}

/** In canonical order. Which leases they are: those of the closing list, or else all that are in, and the last. */
function countedIn(round: ReadonlyRound, last?: Admission): Counted[] {
  const ids =
    round.closing ?? (round.samples > 0 ? round.leases.keys() : [...round.in, ...(last === undefined ? [] : [last.header.lease])]);
  const counted: Counted[] = [];
  for (const id of ids) {
    const { lease, start, samples, settled } = round.leases.get(id) as ReadonlyLease;
    const answer = settled ?? (last?.header.lease === lease ? { ...last.header, base: last.base } : null);
    if (answer === null) throw new Error(`round ${round.base} is not complete: lease ${lease} is not settled`);
    const { volunteer, sha256, codec, lossMean, base } = answer;
    counted.push({ lease, start, samples, volunteer, sha256, codec, lossMean, base });
  }
  return inCanonicalOrder(counted);
}

/** Of 1 in all, as the ledger keeps them. */
function weightsOf(round: ReadonlyRound, counted: readonly Counted[]): number[] {
  if (round.samples > 0) return counted.map(({ samples }) => samples / round.samples);
  return contributionWeights(counted.map(({ samples, base }) => ({ samples, staleness: round.base - base })));
}

/** Everything the closing worker needs, contributions by position. `last` is the admission with which the round closes. */
export function closeRoundOf(state: ReadonlyRun, round: ReadonlyRound, last?: Admission): CloseRound {
  const counted = countedIn(round, last);
  const weights = hasLocalSteps(state) ? weightsOf(round, counted) : null;
  return {
    base: round.base,
    weights: state.weights,
    steps: state.steps,
    optimizer: state.optimizer,
    learningRate: f32FromHex(round.learningRate),
    contributions: counted.map(({ lease, volunteer, sha256, samples, codec, lossMean }, index) => ({
      lease,
      volunteer,
      sha256,
      samples,
      codec,
      lossMean: f32FromHex(lossMean),
      ...(weights === null ? {} : { weight: weights[index] as number }),
    })),
  };
}

/**
 * The round closes now, with what is in: of a fixed batch the whole, which needs no event; of local steps what its rule says. Null where it
 * does not, or does already.
 */
export function closingNow(
  state: ReadonlyRun,
  nowMs: number,
  last?: Admission,
): { readonly events: LedgerEvent[]; readonly effects: Effect[] } | null {
  const { round, present } = state;
  if (round === null || round.closing !== null) return null;
  if (!hasLocalSteps(state)) {
    const samples = last === undefined ? 0 : (round.leases.get(last.header.lease)?.samples ?? 0);
    if (round.samplesIn + samples !== round.samples) return null;
    return { events: [], effects: [{ kind: "close-round", round: closeRoundOf(state, round, last) }] };
  }
  const { openedAtMs, quorumAtMs } = round;
  const size = round.in.size + (last === undefined ? 0 : 1);
  const atMs = closesAtMs(state.spec, { in: size, present, openedAtMs, quorumAtMs });
  if (atMs === null || atMs > nowMs) return null;
  const leases = countedIn(round, last).map(({ lease }) => lease);
  return {
    events: [{ type: "round-closing", base: round.base, leases }],
    effects: [{ kind: "close-round", round: closeRoundOf(state, round, last) }],
  };
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
  const cut = hasLocalSteps(state) ? round.cut : round.samples;
  const samples = samplesCounted(state) + countedIn(round).reduce((sum, counted) => sum + counted.samples, 0);
  const sequel = sequelOf(state.spec, { version, position: round.start + cut, steps, samples });
  const ends = hasLocalSteps(state) ? endsWith(state, round, version, sequel.type === "run-finished") : { events: [], effects: [] };
  const effects: Effect[] = [...ends.effects];
  if (isEvaluationDue(state.spec, version, steps)) effects.push({ kind: "evaluate", version, weights: input.weights });
  else if (isCheckpointDue(state.spec, version, steps)) effects.push({ kind: "checkpoint", version });
  effects.push({ kind: "announce", version });
  const behind = steps === version ? `of ${state.spec.training.versions}` : `(step ${steps} of ${state.spec.training.versions})`;
  return {
    events: [...ends.events, publicationOf(round, input), sequel],
    effects,
    reason: `Version ${version} ${behind} is published${sequel.type === "run-finished" ? "; the run is finished." : "."}`,
  };
}

/** Assignments whose answer could not be counted any more once `version` is there: all of them at the run's end, else those on too old a base. */
function endsWith(state: ReadonlyRun, round: ReadonlyRound, version: number, isLast: boolean): Endings {
  const events: Endings["events"] = [];
  const effects: Effect[] = [];
  for (const lease of round.leases.values()) {
    const ends = liveEnds(lease, "round-closed", ({ base }) => isLast || version - base.version > state.spec.round.maxStaleness);
    events.push(...ends.events);
    effects.push(...ends.effects);
  }
  return { events, effects };
}

function publicationOf(round: ReadonlyRound, input: Extract<Input, { kind: "closed" }>): EventOf<"version-published"> {
  const counted = countedIn(round);
  const parts = weightsOf(round, counted);
  const { weights, delta = null, optimizer, norm, lossMean } = input;
  return {
    type: "version-published",
    version: round.base + 1,
    weights,
    ...(delta === null ? {} : { delta }),
    optimizer,
    learningRate: round.learningRate,
    norm: f32ToHex(norm),
    lossMean: f32ToHex(lossMean),
    samples: counted.reduce((sum, { samples }) => sum + samples, 0),
    contributions: counted.map(({ lease, volunteer, sha256, samples }, index) => ({
      lease,
      volunteer,
      sha256,
      samples,
      weight: f32ToHex(parts[index] as number),
      reason: null,
    })),
  };
}
