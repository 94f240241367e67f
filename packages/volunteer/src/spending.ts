// On what a volunteer's time goes: computing, fetching, sending, waiting. Where several go on at once the first named counts, so that the parts
// add up to the time in which it lent its device. Pure.
import type { SpentMs } from "@weft/protocol";
import type { Activity } from "./snapshot.ts";
import type { VolunteerState } from "./state.ts";
import { active, held, patch, type Turn } from "./turn.ts";

/** Null: it does not lend now, or the device is still being tested. */
export function activityOf(state: VolunteerState): Activity | null {
  if (!active(state) || held(state) || state.fitness.kind !== "fit") return null;
  const phases = state.jobs.map(({ phase }) => phase.kind);
  if (phases.includes("computing") || phases.includes("packing")) return "computing";
  if (phases.includes("fetching") || phases.includes("ready")) return "downloading";
  return phases.includes("uploading") && state.link.kind === "ready" ? "uploading" : "waiting";
}

/** At the end of each turn: the time since the last change goes to what was done then. */
export function account(turn: Turn): void {
  const { doing } = turn.state;
  const kind = activityOf(turn.state);
  if (kind === (doing?.kind ?? null)) return;
  patch(turn, { spentMs: spentAt(turn.state, turn.now), doing: kind === null ? null : { kind, sinceMs: turn.now } });
}

/** Whole milliseconds since the start, up to `now`. */
export function spentAt({ spentMs, doing }: Pick<VolunteerState, "spentMs" | "doing">, now: number): SpentMs {
  if (doing === null) return spentMs;
  return { ...spentMs, [doing.kind]: spentMs[doing.kind] + Math.max(0, Math.round(now - doing.sinceMs)) };
}
