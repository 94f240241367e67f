// Whose turn it is for a lease that came back or is overdue: established volunteers before keys that have proved nothing, and whoever
// had it without answering behind everybody else. Keys cost nothing, so without an order those who never answer could keep a lease among
// themselves while somebody who would answer stands idle. Knows nothing of samples and times of day.
import { isEstablished, type ReadonlyLease, type ReadonlyRun } from "./state.ts";

/**
 * How long a lease that a newcomer could have is kept for established volunteers first: an idle one asks again at the latest after five
 * seconds, and at once when a lease that came back is announced.
 */
const FIRST_REFUSAL_MS = 5_000;
/** A quarter of the deadline where that is short, so that newcomers' turn comes well within it. */
export const firstRefusalMs = ({ spec }: ReadonlyRun): number => Math.min(FIRST_REFUSAL_MS, spec.round.deadlineMs / 4);

/** Attempts after which a lease is given only once per deadline: far above what honest devices need, far below MAX_ATTEMPTS. */
const WORN_ATTEMPTS = 1_000;
/** The largest attempt that an event can carry. A worn lease reaches it after 999,000 deadlines. */
export const MAX_ATTEMPTS = 1_000_000;
export const isWorn = (lease: ReadonlyLease): boolean => lease.assignments.length >= WORN_ATTEMPTS;

/** A newcomer while an established volunteer is present. */
export const yieldsToEstablished = (state: ReadonlyRun, volunteer: string): boolean =>
  state.establishedPresent > 0 && !isEstablished(state.volunteers.get(volunteer));

/** Ends by which a key has shown that it does not answer this lease. Who left may come back to it; a late answer even counts. */
const UNANSWERED: ReadonlySet<string | null> = new Set(["expired", "released", "refused"]);

/** The longest deadline that an assignment gets, in deadlines of the specification. */
const MOST_DEADLINES = 64;

/**
 * How long an assignment may take. A lease stays as it was cut, perhaps for a faster device that is gone: whoever comes back to one that it
 * did not do in time has twice as long for it each time, so that a slow device that is alone gets through all the same.
 */
export function deadlineMsOf(state: ReadonlyRun, lease: ReadonlyLease | undefined, volunteer: string): number {
  const missed = (lease?.assignments ?? []).filter(
    ({ volunteer: holder, end }) => holder === volunteer && (end === "expired" || end === "released"),
  );
  return state.spec.round.deadlineMs * Math.min(MOST_DEADLINES, 2 ** missed.length);
}

/**
 * Whether this volunteer had the lease without answering it while somebody present has not: then it waits. An established volunteer's
 * turn comes again as soon as one other has had it in vain too, so that a crowd of new keys cannot send it to the end of their queue.
 */
export function isLastInLine(state: ReadonlyRun, lease: ReadonlyLease, volunteer: string): boolean {
  const failed = new Set<string>();
  let inVainSince = false;
  for (const { volunteer: holder, end } of lease.assignments) {
    if (end === null) continue;
    if (holder !== volunteer) inVainSince = true;
    if (!UNANSWERED.has(end)) continue;
    if (holder === volunteer) inVainSince = false;
    if (state.volunteers.get(holder)?.present === true) failed.add(holder);
  }
  if (!failed.has(volunteer) || state.present <= failed.size) return false;
  return !(inVainSince && isEstablished(state.volunteers.get(volunteer)));
}
