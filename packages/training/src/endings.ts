// Ends of live assignments, as events for the ledger and as notices to those who hold them. Knows only what it is told to end.
import type { AssignmentEnd, EventOf, VolunteerId } from "@weft/protocol";
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
