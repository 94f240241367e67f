// Volunteers come, go, give leases back, are blocked, or send what had to be refused. Knows nothing of sockets.
import { ERROR_CODES, LeaseId, type LedgerEvent, shortKey, type VolunteerId } from "@weft/protocol";
import { endsOf } from "./endings.ts";
import type { Decision, Effect, Input } from "./inputs.ts";
import { findAssignment, type ReadonlyRun } from "./state.ts";

type InputOf<K extends Input["kind"]> = Extract<Input, { kind: K }>;

const nothing = (reason: string): Decision => ({ events: [], effects: [], reason });
const workAgain = (state: ReadonlyRun, ended: number): Effect[] =>
  ended > 0 && state.phase === "running" ? [{ kind: "announce", version: state.version }] : [];

/** A new session of a volunteer, known or not: written even where it was present already, so that a return after a restart shows. */
export function decideJoin(state: ReadonlyRun, { volunteer, name, device }: InputOf<"join">): Decision {
  if (state.volunteers.get(volunteer)?.blocked) return nothing(`${shortKey(volunteer)} is blocked and does not join.`);
  return {
    events: [{ type: "volunteer-joined", volunteer, name, device }],
    effects: [],
    reason: `${name ?? shortKey(volunteer)} joined with ${device.backend}.`,
  };
}

export function decideLeave(state: ReadonlyRun, { volunteer, reason }: InputOf<"leave">): Decision {
  if (!state.volunteers.get(volunteer)?.present) return nothing(`${shortKey(volunteer)} was not here.`);
  const ends = endsOf(state, volunteer, "left");
  return {
    events: [...ends.events, { type: "volunteer-left", volunteer, reason }],
    effects: workAgain(state, ends.events.length),
    reason: `${shortKey(volunteer)} left (${reason}); ${ends.events.length} of its leases can be given again.`,
  };
}

export function decideRelease(state: ReadonlyRun, { volunteer, lease, attempt }: InputOf<"release">): Decision {
  const assignment = findAssignment(state, lease, attempt);
  if (assignment === null || assignment.volunteer !== volunteer || assignment.end !== null)
    return nothing(`${shortKey(volunteer)} does not hold lease ${lease}.`);
  return {
    events: [{ type: "assignment-ended", lease, attempt, volunteer, reason: "released" }],
    effects: workAgain(state, 1),
    reason: `${shortKey(volunteer)} gave lease ${lease} back.`,
  };
}

/** The sender has been told already. The assignment ends unless the code says that the same bytes may be sent again. */
export function decideRefused(state: ReadonlyRun, { volunteer, lease, attempt, code, detail }: InputOf<"refused">): Decision {
  const events: LedgerEvent[] = [];
  const assignment = lease === null || attempt === null ? null : findAssignment(state, lease, attempt);
  const isHolder = assignment?.volunteer === volunteer && assignment.end === null;
  if (lease !== null && attempt !== null && isHolder && !ERROR_CODES[code].retry)
    events.push({ type: "assignment-ended", lease, attempt, volunteer, reason: "refused" });
  const effects = workAgain(state, events.length);
  const named = lease !== null && LeaseId.safeParse(lease).success ? lease : null;
  events.push({ type: "contribution-refused", volunteer, lease: named, code, detail: detail.slice(0, 500) });
  return { events, effects, reason: `Refused an answer of ${shortKey(volunteer)}: ${code}.` };
}

export function decideBlock(state: ReadonlyRun, volunteer: VolunteerId, by: string): Decision {
  const known = state.volunteers.get(volunteer);
  if (known?.blocked) return nothing(`${shortKey(volunteer)} is blocked already.`);
  const ends = endsOf(state, volunteer, "blocked");
  const events: LedgerEvent[] = [{ type: "volunteer-blocked", volunteer, by }, ...ends.events];
  if (known?.present) events.push({ type: "volunteer-left", volunteer, reason: "blocked" });
  return {
    events,
    effects: [...ends.effects, ...workAgain(state, ends.events.length)],
    reason: `${shortKey(volunteer)} was blocked by ${by}.`,
  };
}

export function decideUnblock(state: ReadonlyRun, volunteer: VolunteerId, by: string): Decision {
  if (!state.volunteers.get(volunteer)?.blocked) return nothing(`${shortKey(volunteer)} is not blocked.`);
  return {
    events: [{ type: "volunteer-unblocked", volunteer, by }],
    effects: [],
    reason: `${shortKey(volunteer)} was unblocked by ${by}.`,
  };
}
