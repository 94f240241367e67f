// The state machine of a run as a table: four small machines, and which event leads each from which state to which. `evolve` refuses
// whatever does not stand here, and ARCHITECTURE.md shows the same table to people; a test compares the two.
// Knows nothing of numbers and names: that a version follows the one before is for evolve to check.
import type { AssignmentEnd, LedgerEvent, RunPhase } from "@weft/protocol";
import { type AssignmentState, bookOf, isComplete, type ReadonlyLease, type ReadonlyRound, type ReadonlyRun } from "./state.ts";

type EventType = LedgerEvent["type"];
/** For each state, the events that may come and the states in which they may leave it. */
export type Machine<S extends string> = Readonly<Record<S, Readonly<Partial<Record<EventType, readonly S[]>>>>>;

export type RunStanding = "none" | RunPhase;
export type RoundStanding = "none" | "open" | "collecting" | "closing";
export type LeaseStanding = "none" | "out" | "waiting" | "settled";
export type AssignmentStanding = "none" | "live" | "admitted" | "late" | "forfeited";

/** What may happen in any phase: people come and go, answers are turned away, what is owed is done, another coordinator takes over. */
const atAnyTime = <S extends RunPhase>(phase: S) =>
  ({
    "volunteer-joined": [phase],
    "volunteer-left": [phase],
    "volunteer-blocked": [phase],
    "volunteer-unblocked": [phase],
    "contribution-refused": [phase],
    "version-evaluated": [phase],
    "checkpoint-written": [phase],
    "run-adopted": [phase],
  }) as const;

const RUN: Machine<RunStanding> = {
  none: { "run-created": ["running"] },
  running: {
    ...atAnyTime("running"),
    "run-paused": ["paused"],
    "run-stopped": ["stopped"],
    "run-finished": ["finished"],
    "run-rolled-back": ["running"],
    "round-opened": ["running"],
    "round-closing": ["running"],
    "lease-assigned": ["running"],
    "assignment-ended": ["running"],
    "contribution-admitted": ["running"],
    "version-published": ["running"],
  },
  // Nothing is given out, but what is out may still come in, and close its round.
  paused: {
    ...atAnyTime("paused"),
    "run-resumed": ["running"],
    "run-stopped": ["stopped"],
    "run-finished": ["finished"],
    "run-rolled-back": ["paused"],
    "round-opened": ["paused"],
    "round-closing": ["paused"],
    "assignment-ended": ["paused"],
    "contribution-admitted": ["paused"],
    "version-published": ["paused"],
  },
  stopped: atAnyTime("stopped"),
  // Nobody expects a finished run to take up work by itself: it waits to be resumed.
  finished: { ...atAnyTime("finished"), "run-rolled-back": ["paused"] },
};

const ROUND: Machine<RoundStanding> = {
  none: {
    // Leases that outlive their round are there already.
    "round-opened": ["open", "collecting"],
    "assignment-ended": ["none"],
    "run-finished": ["none"],
    "run-stopped": ["none"],
    "run-rolled-back": ["none"],
  },
  open: { "lease-assigned": ["collecting"], "run-stopped": ["none"], "run-rolled-back": ["none"] },
  collecting: {
    "lease-assigned": ["collecting"],
    "assignment-ended": ["collecting"],
    "contribution-admitted": ["collecting", "closing"],
    "round-closing": ["closing"],
    "run-stopped": ["none"],
    "run-rolled-back": ["none"],
  },
  closing: {
    // The first two where leases outlive their round.
    "lease-assigned": ["closing"],
    "contribution-admitted": ["closing"],
    "assignment-ended": ["closing"],
    "version-published": ["none"],
    "run-stopped": ["none"],
    "run-rolled-back": ["none"],
  },
};

/** A lease is there as long as its round in `gradient` mode, and until it is counted or given up in `local-steps`. */
const LEASE: Machine<LeaseStanding> = {
  none: { "lease-assigned": ["out"] },
  out: {
    "lease-assigned": ["out"],
    "assignment-ended": ["out", "waiting"],
    "contribution-admitted": ["settled"],
    "version-published": ["out"],
  },
  waiting: {
    "lease-assigned": ["out"],
    "contribution-admitted": ["settled"],
    "version-published": ["waiting"],
    "run-finished": ["none"],
    "run-stopped": ["none"],
    "run-rolled-back": ["none"],
  },
  settled: {
    "assignment-ended": ["settled"],
    "version-published": ["none", "settled"],
    "run-stopped": ["none"],
    "run-rolled-back": ["none"],
  },
};

/** An assignment is there as long as its lease. `late`: its time is over, but an answer still counts; `forfeited`: none does. */
const ASSIGNMENT: Machine<AssignmentStanding> = {
  none: { "lease-assigned": ["live"] },
  live: { "assignment-ended": ["late", "forfeited"], "contribution-admitted": ["admitted"] },
  late: { "contribution-admitted": ["late"] },
  admitted: {},
  forfeited: {},
};

export const MACHINES = { run: RUN, round: ROUND, lease: LEASE, assignment: ASSIGNMENT } as const;
export type MachineName = keyof typeof MACHINES;

const AFTER_END: Readonly<Record<AssignmentEnd | "admitted", AssignmentStanding>> = {
  admitted: "admitted",
  expired: "late",
  left: "late",
  released: "forfeited",
  refused: "forfeited",
  blocked: "forfeited",
  "settled-by-another": "forfeited",
  "round-closed": "forfeited",
  "rolled-back": "forfeited",
};

export const roundStanding = (round: ReadonlyRound | null): RoundStanding => {
  if (round === null) return "none";
  if (round.leases.size === 0) return "open";
  return isComplete(round) ? "closing" : "collecting";
};
export const leaseStanding = (lease: ReadonlyLease | undefined): LeaseStanding => {
  if (lease === undefined) return "none";
  if (lease.settled !== null) return "settled";
  // The live ones are among the newest.
  return lease.assignments.findLast(({ end }) => end === null) === undefined ? "waiting" : "out";
};
export const assignmentStanding = (assignment: Pick<AssignmentState, "end"> | null | undefined): AssignmentStanding => {
  if (assignment === null || assignment === undefined) return "none";
  return assignment.end === null ? "live" : AFTER_END[assignment.end];
};

/** The state of the machine that an event concerns; null where it concerns none of its kind, or each one of the round (evolve sees to that). */
export function standingOf(machine: MachineName, state: ReadonlyRun, event: LedgerEvent): string | null {
  switch (machine) {
    case "run":
      return state.phase;
    case "round":
      return roundStanding(state.round);
    case "lease":
    case "assignment": {
      const given = assignmentOf(event);
      if (given === null) return null;
      const lease = bookOf(state)?.leases.get(given.lease);
      return machine === "lease" ? leaseStanding(lease) : assignmentStanding(lease?.assignments[given.attempt - 1]);
    }
    default:
      return machine satisfies never;
  }
}

function assignmentOf(event: LedgerEvent): { readonly lease: string; readonly attempt: number } | null {
  switch (event.type) {
    case "lease-assigned":
    case "assignment-ended":
      return event;
    case "contribution-admitted":
      return event.header;
    default:
      return null;
  }
}

const CONCERNED = new Map<EventType, readonly MachineName[]>();
for (const machine of Object.keys(MACHINES) as MachineName[])
  for (const events of Object.values(MACHINES[machine]))
    for (const event of Object.keys(events) as EventType[]) CONCERNED.set(event, [...new Set([...(CONCERNED.get(event) ?? []), machine])]);

/** The machines that name the event; the others it leaves as they are, whatever their state. */
export const concernedBy = (event: EventType): readonly MachineName[] => CONCERNED.get(event) ?? [];

/** States to which an event may lead a machine that it concerns; null where it must not come in state `from`. */
export const leadsTo = (machine: MachineName, from: string, event: EventType): readonly string[] | null =>
  (MACHINES[machine] as Machine<string>)[from]?.[event] ?? null;
