// Which piece of work the volunteer who asks is given: first what came back, then a fresh cut, then the tail side by side.
// Who stands behind whom for a lease stands in turns.ts. Knows nothing of contributions.
import type { LeaseId, VolunteerId } from "@weft/protocol";
import { allowanceOf, whyNoWorkFor } from "./caps.ts";
import { nextLeaseId } from "./evolve.ts";
import type { Decision } from "./inputs.ts";
import { leaseSamples } from "./lease-size.ts";
import { assignedReason, nothingLeftReason } from "./reasons.ts";
import { isComplete, isEstablished, liveAssignments, type ReadonlyLease, type ReadonlyRound, type ReadonlyRun } from "./state.ts";
import { deadlineMsOf, firstRefusalMs, isLastInLine, isWorn, MAX_ATTEMPTS, yieldsToEstablished } from "./turns.ts";

/**
 * Live assignments of one lease: one slow device, one that vanished, and still one that answers. While an established volunteer is
 * present the last place is kept for such a one.
 */
export const MAX_LIVE_ASSIGNMENTS = 3;
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
  const offer =
    findWaiting(state, round, volunteer, allowance, nowMs, arriving) ??
    cut(state, round, samplesPerSecond, allowance) ??
    findTail(state, round, volunteer, allowance, nowMs, arriving);
  if (offer === null) {
    const reason = nothingLeftReason(round, yieldsToEstablished(state, volunteer));
    const retryAfterMs = Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, nextChangeMs(state, round, volunteer, allowance, nowMs)));
    return { events: [], effects: [{ kind: "no-lease", volunteer, code: "no-work", reason, retryAfterMs }], reason };
  }
  const deadlineAtMs = nowMs + deadlineMsOf(state, round.leases.get(offer.lease), volunteer);
  const { version, weights } = state;
  return {
    events: [{ type: "lease-assigned", ...offer, volunteer, deadlineAtMs }],
    effects: [{ kind: "assign", assignment: { ...offer, volunteer, version, weights, deadlineAtMs } }],
    reason: assignedReason(offer, volunteer),
  };
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
  return lease.samples > allowance || isLastInLine(state, lease, volunteer) ? leftLyingAtMs : freeSinceMs + yieldMs;
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
  const left = round.samples - round.cut;
  if (left === 0) return null;
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
  if (round.cut < round.samples) return null;
  let found: ReadonlyLease | null = null;
  let foundAtMs = Number.POSITIVE_INFINITY;
  for (const id of round.out) {
    const lease = round.leases.get(id);
    if (lease === undefined || lease.samples > allowance || isArriving(state, lease, arriving, nowMs)) continue;
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
