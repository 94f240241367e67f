// The coordinator's own sentences: why a round waits, why there is no lease, what was just decided. Words only; decides nothing.
import { shortKey, type VolunteerId } from "@weft/protocol";
import { closesAtMs, contributionsWanted, leastAtDeadline, quorumOf } from "./rounds.ts";
import {
  countingVersion,
  hasLocalSteps,
  isComplete,
  type LocalSteps,
  liveAssignments,
  type ReadonlyLease,
  type ReadonlyRound,
  type ReadonlyRun,
} from "./state.ts";

const count = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`;
const seconds = (ms: number): string => `${Math.max(0, Math.ceil(ms / 1000)).toLocaleString("en-US")} s`;

/** Round n is the one that makes version n. */
const roundNumber = (round: ReadonlyRound): number => round.base + 1;

/** Why the run is not further than it is, as one sentence for people. */
export function whyWaiting(state: ReadonlyRun, nowMs: number): string {
  const { round } = state;
  switch (state.phase) {
    case "finished":
      return `The run is finished at version ${state.version}.`;
    case "stopped":
      return `The run was stopped at version ${state.version}.`;
    case "paused":
      return round !== null && !isComplete(round) && round.out.size > 0
        ? `The run is paused; ${count(round.out.size, "contribution")} may still come in.`
        : "The run is paused.";
    case "running":
      if (round === null) return `Round ${state.version + 1} is about to open.`;
      if (isComplete(round))
        return round.closing === null
          ? `Round ${roundNumber(round)} has its whole batch; the next version is being made.`
          : closingReason(round, round.closing.length);
      return hasLocalSteps(state) ? whyGathering(state, round, nowMs) : whyCollecting(state, round, nowMs);
    default:
      return state.phase satisfies never;
  }
}

function whyCollecting(state: ReadonlyRun, round: ReadonlyRound, nowMs: number): string {
  const name = `Round ${roundNumber(round)}`;
  const toGive = samplesToGive(round);
  if (state.present === 0) return `${name} waits for a volunteer: ${round.samplesIn} of ${count(round.samples, "sample")} are in.`;
  if (round.out.size === 0) return `${name} waits for somebody to take ${count(toGive, "sample")}.`;
  const waits = `${name} waits for ${count(round.out.size, "more contribution")}`;
  const deadline = `${seconds(nextDeadlineMs(round) - nowMs)} to the next deadline`;
  return toGive === 0 ? `${waits}, ${deadline}.` : `${waits} and has ${count(toGive, "sample")} to give, ${deadline}.`;
}

const closingReason = (round: ReadonlyRound, contributions: number): string =>
  `Round ${roundNumber(round)} closes with ${count(contributions, "contribution")}; the next version is being made.`;

/** Of local steps: what the rule of its rounds waits for. */
function whyGathering(state: ReadonlyRun & LocalSteps, round: ReadonlyRound, nowMs: number): string {
  const { rounds } = state.spec.training;
  const { present } = state;
  const inNow = round.in.size;
  const wanted = contributionsWanted(rounds, present);
  const name = `Round ${roundNumber(round)}`;
  const areIn = `${count(inNow, "contribution")} of ${wanted.toLocaleString("en-US")} ${inNow === 1 ? "is" : "are"} in`;
  if (present === 0) return `${name} waits for a volunteer: ${areIn}.`;
  if (round.out.size === 0 && inNow === 0) return `${name} waits for somebody to take a lease.`;
  const held = `${count(round.out.size, "lease")} out`;
  const { openedAtMs, quorumAtMs } = round;
  const closesMs = closesAtMs(state.spec, { in: inNow, present, openedAtMs, quorumAtMs });
  switch (rounds.kind) {
    case "all":
      return `${name} waits for all of its leases: ${areIn}, ${held}.`;
    case "async":
      return `${name} closes with the next ${count(wanted - inNow, "contribution")}: ${areIn}, ${held}.`;
    case "quorum":
      if (quorumAtMs !== null && closesMs !== null)
        return `${name} has its quorum and gives the others ${seconds(closesMs - nowMs)} more: ${areIn}.`;
      if (closesMs !== null)
        return `${name} waits for a quorum of ${quorumOf(rounds)}, or its deadline in ${seconds(closesMs - nowMs)}: ${areIn}, ${held}.`;
      return `${name} waits for a quorum of ${quorumOf(rounds)}, and for ${leastAtDeadline(present)} at the least: ${areIn}, ${held}.`;
    default:
      return rounds satisfies never;
  }
}

function samplesToGive(round: ReadonlyRound): number {
  let samples = Math.max(0, round.samples - round.cut);
  for (const id of round.waiting) samples += round.leases.get(id)?.samples ?? 0;
  return samples;
}

function nextDeadlineMs(round: ReadonlyRound): number {
  let next = Number.POSITIVE_INFINITY;
  for (const id of round.out) {
    const lease = round.leases.get(id);
    if (lease !== undefined) for (const { deadlineAtMs } of liveAssignments(lease)) next = Math.min(next, deadlineAtMs);
  }
  return next;
}

/** For the volunteer who asked and gets nothing although the run goes on; `isNewcomer`: it stands behind established ones. */
export function nothingLeftReason(round: ReadonlyRound, isNewcomer: boolean): string {
  const version = `version ${roundNumber(round)}`;
  if (round.closing !== null) return `What ${version} is made of is in; the next round opens in a moment.`;
  if (isComplete(round)) return `The whole batch of ${version} is in; the next round opens in a moment.`;
  if (samplesToGive(round) > 0)
    return isNewcomer
      ? `What is left of ${version} is kept for volunteers who have settled a lease before; a new key's turn comes as leases settle.`
      : `What is left of ${version} came back from this key, so others may have it first.`;
  return `All of ${version} is being computed; ${count(round.out.size, "contribution")} still to come.`;
}

export const assignedReason = (
  { lease, attempt, samples }: { readonly lease: string; readonly attempt: number; readonly samples: number },
  volunteer: VolunteerId,
): string => `Lease ${lease} of ${count(samples, "sample")} goes to ${shortKey(volunteer)}${attempt === 1 ? "" : `, attempt ${attempt}`}.`;

export function admittedReason(
  state: ReadonlyRun,
  round: ReadonlyRound,
  { lease, samples }: ReadonlyLease,
  volunteer: VolunteerId,
  closes: boolean,
): string {
  if (hasLocalSteps(state))
    return closes
      ? closingReason(round, round.in.size + 1)
      : `Admitted lease ${lease} from ${shortKey(volunteer)}; ${count(round.in.size + 1, "contribution")} to version ${countingVersion(state)} ${round.in.size === 0 ? "is" : "are"} in.`;
  return closes
    ? `Round ${roundNumber(round)} has its whole batch; the next version is being made.`
    : `Admitted lease ${lease} from ${shortKey(volunteer)}; ${round.samplesIn + samples} of ${round.samples} samples of round ${roundNumber(round)} are in.`;
}
