// Which piece of work the volunteer who asks is given: first what came back, then a fresh cut, then the tail side by side.
// Who stands behind whom for a lease stands in turns.ts. Knows nothing of contributions.
import type { LeaseId, VolunteerId } from "@weft/protocol";
import { allowanceOf, costOf, whyNoWorkFor } from "./caps.ts";
import { codecFor } from "./codec-choice.ts";
import { nextLeaseId } from "./evolve.ts";
import type { Decision } from "./inputs.ts";
import { leaseSamples, stepsSamples } from "./lease-size.ts";
import { assignedReason, nothingLeftReason } from "./reasons.ts";
import {
  baseOf,
  givenOf,
  hasLocalSteps,
  isComplete,
  isEstablished,
  liveAssignments,
  type ReadonlyLease,
  type ReadonlyRound,
  type ReadonlyRun,
} from "./state.ts";
import { deadlineMsOf, firstRefusalMs, isLastInLine, isWorn, MAX_ATTEMPTS, yieldsToEstablished } from "./turns.ts";
import { visitSamples } from "./visits.ts";

/**
 * Live assignments of one lease: one slow device, one that vanished, and still one that answers. While an established volunteer is
 * present the last place is kept for such a one.
 */
export const MAX_LIVE_ASSIGNMENTS = 3;
/** Unsettled leases of an asynchronous run: as many as a key may hold, and as many again that came back. */
const LEASES_EACH = 4;
const LEASES_AT_LEAST = 8;
const MIN_RETRY_MS = 250;
const MAX_RETRY_MS = 5_000;

interface Offer {
  readonly lease: LeaseId;
  readonly attempt: number;
  readonly start: number;
  readonly samples: number;
}

/**
 * Age at which an outstanding lease is given to a second volunteer: twice the time it was cut for, so that an ordinary device is not
 * doubled, but never later than half the deadline. Only volunteers with nothing else to do are used for it.
 */
export const tailAgeMs = (state: ReadonlyRun): number => Math.min(2 * state.spec.round.leaseMs, state.spec.round.deadlineMs / 2);

const NOTHING: ReadonlySet<LeaseId> = new Set();

export function decideRequest(
  state: ReadonlyRun,
  volunteer: VolunteerId,
  samplesPerSecond: number | null,
  nowMs: number,
  arriving = NOTHING,
): Decision {
  const refusal = whyNoWorkFor(state, volunteer, nowMs);
  if (refusal !== null) return { events: [], effects: [refusal], reason: refusal.reason };
  const round = state.round as ReadonlyRound;
  const allowance = allowanceOf(state, volunteer);
  const offer = isGiving(state, round)
    ? (findWaiting(state, round, volunteer, allowance, nowMs, arriving) ??
      cut(state, round, samplesPerSecond, allowance) ??
      findTail(state, round, volunteer, allowance, nowMs, arriving))
    : null;
  if (offer === null) {
    const reason = nothingLeftReason(round, yieldsToEstablished(state, volunteer));
    const retryAfterMs = Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, nextChangeMs(state, round, volunteer, allowance, nowMs)));
    return { events: [], effects: [{ kind: "no-lease", volunteer, code: "no-work", reason, retryAfterMs }], reason };
  }
  const deadlineAtMs = nowMs + deadlineMsOf(state, round.leases.get(offer.lease), volunteer);
  const codec = codecFor(state, round, volunteer, { samples: offer.samples, isNew: offer.attempt === 1 });
  const named = {
    ...(hasLocalSteps(state) ? { base: state.version } : {}),
    ...(codec === state.spec.training.codec ? {} : { codec }),
  };
  const assignment = givenOf(state, offer, { volunteer, deadlineAtMs, codec, base: baseOf(state) });
  return {
    events: [{ type: "lease-assigned", ...offer, volunteer, deadlineAtMs, ...named }],
    effects: [{ kind: "assign", assignment }],
    reason: assignedReason(offer, volunteer),
  };
}

/**
 * While a round of local steps closes, its next version is a moment away and a better base; only where rounds follow one another without
 * waiting for anybody is work given on.
 */
function isGiving({ spec, steps }: ReadonlyRun, { closing }: ReadonlyRound): boolean {
  if (closing === null || spec.training.mode === "gradient") return true;
  return spec.training.rounds.kind === "async" && steps + 1 < spec.training.versions;
}

const again = (lease: ReadonlyLease): Offer => ({
  lease: lease.lease,
  attempt: lease.assignments.length + 1,
  start: lease.start,
  samples: lease.samples,
});

/** When this volunteer may have a lease that nobody holds. After a whole deadline without a taker no rule holds up the round any longer. */
function waitingAtMs(state: ReadonlyRun, lease: ReadonlyLease, volunteer: VolunteerId, allowance: number): number {
  const { freeSinceMs } = lease;
  const leftLyingAtMs = freeSinceMs + state.spec.round.deadlineMs;
  const yieldMs = yieldsToEstablished(state, volunteer) ? firstRefusalMs(state) : 0;
  if (lease.assignments.length >= MAX_ATTEMPTS) return Number.POSITIVE_INFINITY;
  if (isWorn(lease)) return leftLyingAtMs + yieldMs;
  return costOf(state, lease) > allowance || isLastInLine(state, lease, volunteer) ? leftLyingAtMs : freeSinceMs + yieldMs;
}

/** Of the leases that nobody holds, the one with the lowest position that this volunteer may have. */
function findWaiting(
  state: ReadonlyRun,
  round: ReadonlyRound,
  volunteer: VolunteerId,
  allowance: number,
  nowMs: number,
  arriving: ReadonlySet<LeaseId>,
): Offer | null {
  let found: ReadonlyLease | null = null;
  for (const id of round.waiting) {
    const lease = round.leases.get(id);
    if (lease === undefined || (found !== null && found.start < lease.start) || isArriving(state, lease, arriving, nowMs)) continue;
    if (waitingAtMs(state, lease, volunteer, allowance) <= nowMs) found = lease;
  }
  return found === null ? null : again(found);
}

/**
 * An answer that is being sent is waited for, until half a deadline after the specification's: computed a second time, one of the two would be in vain.
 * Not a newcomer's: it has shown no answer yet, and could hold up the round by sending slowly.
 */
const isArriving = (state: ReadonlyRun, lease: ReadonlyLease, arriving: ReadonlySet<LeaseId>, nowMs: number): boolean =>
  arriving.has(lease.lease) &&
  lease.assignments.some(
    ({ volunteer, assignedAtMs, end }) =>
      (end === null || end === "expired") &&
      nowMs < assignedAtMs + 1.5 * state.spec.round.deadlineMs &&
      isEstablished(state.volunteers.get(volunteer)),
  );

function cut(state: ReadonlyRun, round: ReadonlyRound, samplesPerSecond: number | null, allowance: number): Offer | null {
  if (isAllCut(state, round)) return null;
  if (hasLocalSteps(state)) {
    if (allowance < 1) return null;
    const [given] = round.pool;
    const start = given?.start ?? round.start + round.cut;
    const samples =
      state.clients !== null
        ? visitSamples(state, start)
        : Math.min(stepsSamples(state.spec, samplesPerSecond), given?.length ?? Number.POSITIVE_INFINITY);
    return { lease: nextLeaseId(round), attempt: 1, start, samples };
  }
  const left = round.samples - round.cut;
  const { microBatch } = state.spec.training;
  const samples = leaseSamples({
    left,
    microBatch,
    leaseMs: state.spec.round.leaseMs,
    samplesPerSecond,
    present: state.present,
    allowance,
  });
  return samples === 0 ? null : { lease: nextLeaseId(round), attempt: 1, start: round.start + round.cut, samples };
}

/**
 * Whether nothing is left to cut: of a fixed batch, or of the leases that a round may have in hand. Where rounds have no such number there
 * are a few for everybody who is here, so that leases that nobody answers are not heaped up.
 */
function isAllCut(state: ReadonlyRun, round: ReadonlyRound): boolean {
  const { training } = state.spec;
  if (training.mode === "gradient") return round.cut === round.samples;
  const { rounds } = training;
  const most = rounds.kind === "async" ? Math.max(LEASES_AT_LEAST, LEASES_EACH * state.present) : rounds.leases;
  return round.waiting.size + round.out.size + (rounds.kind === "async" ? 0 : round.in.size) >= most;
}

/** When the lease may be given to a second or third volunteer; null where this volunteer may not have it while it is out. */
function tailAtMs(state: ReadonlyRun, lease: ReadonlyLease, volunteer: VolunteerId): number | null {
  const live = liveAssignments(lease);
  const oldest = live[0];
  if (oldest === undefined || live.some((one) => one.volunteer === volunteer) || lease.assignments.length >= MAX_ATTEMPTS) return null;
  const yields = yieldsToEstablished(state, volunteer);
  if (live.length >= (yields ? MAX_LIVE_ASSIGNMENTS - 1 : MAX_LIVE_ASSIGNMENTS)) return null;
  if (isLastInLine(state, lease, volunteer) || (yields && isWorn(lease))) return null;
  return oldest.assignedAtMs + tailAgeMs(state) + (yields ? firstRefusalMs(state) : 0);
}

/** The outstanding lease whose oldest live assignment is oldest, once nothing is left to cut. */
function findTail(
  state: ReadonlyRun,
  round: ReadonlyRound,
  volunteer: VolunteerId,
  allowance: number,
  nowMs: number,
  arriving: ReadonlySet<LeaseId>,
): Offer | null {
  if (!isAllCut(state, round)) return null;
  let found: ReadonlyLease | null = null;
  let foundAtMs = Number.POSITIVE_INFINITY;
  for (const id of round.out) {
    const lease = round.leases.get(id);
    if (lease === undefined || costOf(state, lease) > allowance || isArriving(state, lease, arriving, nowMs)) continue;
    const atMs = tailAtMs(state, lease, volunteer);
    if (atMs === null || atMs > nowMs || atMs >= foundAtMs) continue;
    found = lease;
    foundAtMs = atMs;
  }
  return found === null ? null : again(found);
}

/** Time until the earliest lease becomes this volunteer's to have, as a hint of when to ask again. */
function nextChangeMs(state: ReadonlyRun, round: ReadonlyRound, volunteer: VolunteerId, allowance: number, nowMs: number): number {
  if (isComplete(round)) return MIN_RETRY_MS;
  let next = Number.POSITIVE_INFINITY;
  const consider = (atMs: number | null): void => {
    if (atMs !== null && atMs > nowMs) next = Math.min(next, atMs - nowMs);
  };
  for (const id of round.waiting) {
    const lease = round.leases.get(id);
    if (lease !== undefined) consider(waitingAtMs(state, lease, volunteer, allowance));
  }
  for (const id of round.out) {
    const lease = round.leases.get(id);
    if (lease !== undefined) consider(tailAtMs(state, lease, volunteer));
  }
  return next;
}
