// Which piece of work the volunteer who asks is given: first what came back, then a fresh cut, then the tail side by side.
// Knows nothing of contributions.
import type { LeaseId, VolunteerId } from "@weft/protocol";
import { allowanceOf, whyNoWorkFor } from "./caps.ts";
import { nextLeaseId } from "./evolve.ts";
import type { Decision } from "./inputs.ts";
import { leaseSamples } from "./lease-size.ts";
import { assignedReason, nothingLeftReason } from "./reasons.ts";
import { isComplete, liveAssignments, type ReadonlyLease, type ReadonlyRound, type ReadonlyRun } from "./state.ts";

/** Live assignments of one lease: one slow device, one that vanished, and still one that answers. */
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

export function decideRequest(state: ReadonlyRun, volunteer: VolunteerId, samplesPerSecond: number | null, nowMs: number): Decision {
  const refusal = whyNoWorkFor(state, volunteer);
  if (refusal !== null) return { events: [], effects: [refusal], reason: refusal.reason };
  const round = state.round as ReadonlyRound;
  const allowance = allowanceOf(state, volunteer);
  const offer =
    findWaiting(state, round, volunteer, allowance, nowMs) ??
    cut(state, round, samplesPerSecond, allowance) ??
    findTail(state, round, volunteer, allowance, nowMs);
  if (offer === null) {
    const reason = nothingLeftReason(round);
    const retryAfterMs = Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, nextChangeMs(state, round, volunteer, nowMs)));
    return { events: [], effects: [{ kind: "no-lease", volunteer, code: "no-work", reason, retryAfterMs }], reason };
  }
  const deadlineAtMs = nowMs + state.spec.round.deadlineMs;
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

/** Of the leases that nobody holds, the one with the lowest position that this volunteer may have. */
function findWaiting(state: ReadonlyRun, round: ReadonlyRound, volunteer: VolunteerId, allowance: number, nowMs: number): Offer | null {
  let found: ReadonlyLease | null = null;
  for (const id of round.waiting) {
    const lease = round.leases.get(id);
    if (lease === undefined || (found !== null && found.start < lease.start)) continue;
    // After a whole deadline without a taker neither rule may hold up the round any longer.
    const leftLying = nowMs - lease.freeSinceMs >= state.spec.round.deadlineMs;
    if (!leftLying && (lease.samples > allowance || isBetterForOthers(state, lease, volunteer))) continue;
    found = lease;
  }
  return found === null ? null : again(found);
}

/** A device that answered this lease with garbage gets it again only when it is alone. */
const isBetterForOthers = (state: ReadonlyRun, lease: ReadonlyLease, volunteer: VolunteerId): boolean =>
  state.present > 1 && lease.assignments.some((assignment) => assignment.volunteer === volunteer && assignment.end === "refused");

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

/** When the lease may be given to a second or third volunteer; null where this volunteer may never have it. */
function tailAtMs(state: ReadonlyRun, lease: ReadonlyLease, volunteer: VolunteerId): number | null {
  const live = liveAssignments(lease);
  const oldest = live[0];
  if (oldest === undefined || live.length >= MAX_LIVE_ASSIGNMENTS || live.some((one) => one.volunteer === volunteer)) return null;
  return oldest.assignedAtMs + tailAgeMs(state);
}

/** The outstanding lease whose oldest live assignment is oldest, once nothing is left to cut. */
function findTail(state: ReadonlyRun, round: ReadonlyRound, volunteer: VolunteerId, allowance: number, nowMs: number): Offer | null {
  if (round.cut < round.samples) return null;
  let found: ReadonlyLease | null = null;
  let foundAtMs = Number.POSITIVE_INFINITY;
  for (const id of round.out) {
    const lease = round.leases.get(id);
    if (lease === undefined || lease.samples > allowance || isBetterForOthers(state, lease, volunteer)) continue;
    const atMs = tailAtMs(state, lease, volunteer);
    if (atMs === null || atMs > nowMs || atMs >= foundAtMs) continue;
    found = lease;
    foundAtMs = atMs;
  }
  return found === null ? null : again(found);
}

/** Time until the earliest outstanding lease may be doubled, as a hint of when to ask again. */
function nextChangeMs(state: ReadonlyRun, round: ReadonlyRound, volunteer: VolunteerId, nowMs: number): number {
  if (isComplete(round)) return MIN_RETRY_MS;
  let next = Number.POSITIVE_INFINITY;
  for (const id of round.out) {
    const lease = round.leases.get(id);
    const atMs = lease === undefined ? null : tailAtMs(state, lease, volunteer);
    if (atMs !== null && atMs > nowMs) next = Math.min(next, atMs - nowMs);
  }
  return next;
}
