// Ends of live assignments, as events for the ledger and as notices to those who hold them. Knows only what it is told to end.
import type { AbandonedContribution, AssignmentEnd, EventOf, VolunteerId } from "@weft/protocol";
import type { Effect } from "./inputs.ts";
import { liveAssignments, type ReadonlyLease, type ReadonlyRun } from "./state.ts";

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
  for (const lease of state.round?.leases.values() ?? []) {
    const ends = liveEnds(lease, reason, () => true);
    events.push(...ends.events);
    effects.push(...ends.effects);
  }
  return { events, effects, abandoned: abandonedOf(state) };
}

/** The admitted contributions of the open round, in canonical order. */
export function abandonedOf({ round }: Pick<ReadonlyRun, "round">): AbandonedContribution[] {
  const abandoned: AbandonedContribution[] = [];
  for (const { lease, samples, settled } of round?.leases.values() ?? [])
    if (settled !== null) abandoned.push({ lease, volunteer: settled.volunteer, sha256: settled.sha256, samples });
  return abandoned;
}
