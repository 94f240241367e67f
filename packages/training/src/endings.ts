// Ends of live assignments, as events for the ledger and as notices to those who hold them. Knows only what it is told to end.
import type { AbandonedContribution, AssignmentEnd, EventOf, VolunteerId } from "@weft/protocol";
import type { Effect } from "./inputs.ts";
import { bookOf, liveAssignments, type ReadonlyLease, type ReadonlyRun } from "./state.ts";

export interface Endings {
  readonly events: EventOf<"assignment-ended">[];
  /** One `revoke` each. */
  readonly effects: Effect[];
}
type Live = ReturnType<typeof liveAssignments>[number];

/** Ends the live assignments of one lease for which `which` holds. */
export function liveEnds(lease: ReadonlyLease, reason: AssignmentEnd, which: (assignment: Live) => boolean): Endings {
  const live = liveAssignments(lease).filter(which);
  return {
    events: live.map(({ attempt, volunteer }) => ({ type: "assignment-ended", lease: lease.lease, attempt, volunteer, reason })),
    effects: live.map(({ attempt, volunteer }) => ({ kind: "revoke", volunteer, lease: lease.lease, attempt, reason })),
  };
}

/** Ends everything that one volunteer holds. */
export function endsOf(state: ReadonlyRun, volunteer: VolunteerId, reason: AssignmentEnd): Endings {
  const open = state.volunteers.get(volunteer)?.open ?? [];
  return {
    events: open.map(({ lease, attempt }) => ({ type: "assignment-ended", lease, attempt, volunteer, reason })),
    effects: open.map(({ lease, attempt }) => ({ kind: "revoke", volunteer, lease, attempt, reason })),
  };
}

/** Ends the open round without a version: everything that is held in it, and the admitted contributions that no version will count. */
export function giveUpRound(state: ReadonlyRun, reason: AssignmentEnd): Endings & { readonly abandoned: AbandonedContribution[] } {
  const events: Endings["events"] = [];
  const effects: Effect[] = [];
  for (const lease of bookOf(state)?.leases.values() ?? []) {
    const ends = liveEnds(lease, reason, () => true);
    events.push(...ends.events);
    effects.push(...ends.effects);
  }
  return { events, effects, abandoned: abandonedOf(state) };
}

/** The admitted contributions that no version counts yet, in canonical order. */
export function abandonedOf(state: Pick<ReadonlyRun, "round" | "carried">): AbandonedContribution[] {
  const leases = [...(bookOf(state)?.leases.values() ?? [])].filter(({ settled }) => settled !== null);
  return inCanonicalOrder(leases).flatMap(({ lease, samples, settled }) =>
    settled === null ? [] : [{ lease, volunteer: settled.volunteer, sha256: settled.sha256, samples }],
  );
}

/** By the lease's first position, then by its id: the order of a round's contributions, which is part of the bits. */
export const inCanonicalOrder = <T extends { readonly lease: string; readonly start: number }>(leases: readonly T[]): T[] =>
  leases.toSorted((a, b) => a.start - b.start || (a.lease < b.lease ? -1 : 1));
