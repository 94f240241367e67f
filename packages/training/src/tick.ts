// What time alone brings about: overdue assignments, volunteers who did not return after a restart, the first round, and whatever
// is still owed. Knows no timers; it is told the time.
import type { LedgerEvent } from "@weft/protocol";
import { closeRoundOf, closingNow, sequelOf } from "./closing.ts";
import { endsOf } from "./endings.ts";
import type { Decision, Effect } from "./inputs.ts";
import { owedEffects } from "./owed.ts";
import { whyWaiting } from "./reasons.ts";
import { samplesCounted } from "./schedule.ts";
import { bookOf, hasLocalSteps, isComplete, pointOf, type ReadonlyRun, stalenessOf } from "./state.ts";

/** How long volunteers may take to come back after the coordinator was restarted: their reconnecting backs off to a few seconds. */
export const RESTART_GRACE_MS = 15_000;

export function decideTick(state: ReadonlyRun, nowMs: number, upSinceMs: number | undefined): Decision {
  const events: LedgerEvent[] = [];
  const effects: Effect[] = [];
  leaveAfterRestart(state, nowMs, upSinceMs, events, effects);
  expire(state, nowMs, events, effects);
  const freed = events.some(({ type }) => type === "assignment-ended");
  const next = nextStep(state);
  if (next !== null) events.push(next);
  if (state.phase === "running" && (freed || next?.type === "round-opened")) effects.push({ kind: "announce", version: state.version });
  const active = state.phase === "running" || state.phase === "paused";
  if (active && state.round !== null) {
    const closing = isComplete(state.round)
      ? { events: [], effects: [{ kind: "close-round", round: closeRoundOf(state, state.round) } as const] }
      : closingNow(state, nowMs);
    events.push(...(closing?.events ?? []));
    effects.push(...(closing?.effects ?? []));
  }
  effects.push(...owedEffects(state));
  return { events, effects, reason: whyWaiting(state, nowMs) };
}

/** A round that should be open and is not, or the end that was not written: after creation, or a crash between two events. */
function nextStep(state: ReadonlyRun): LedgerEvent | null {
  if (state.round !== null || (state.phase !== "running" && state.phase !== "paused")) return null;
  return sequelOf(state.spec, { ...pointOf(state), samples: samplesCounted(state) });
}

function leaveAfterRestart(
  state: ReadonlyRun,
  nowMs: number,
  upSinceMs: number | undefined,
  events: LedgerEvent[],
  effects: Effect[],
): void {
  if (upSinceMs === undefined || nowMs < upSinceMs + RESTART_GRACE_MS) return;
  for (const { volunteer, present, joinedAtMs } of state.volunteers.values()) {
    if (!present || joinedAtMs >= upSinceMs) continue;
    const ends = endsOf(state, volunteer, "left");
    events.push(...ends.events, { type: "volunteer-left", volunteer, reason: "restart" });
    effects.push(...ends.effects);
  }
}

function expire(state: ReadonlyRun, nowMs: number, events: LedgerEvent[], effects: Effect[]): void {
  const gone = new Set(events.flatMap((event) => (event.type === "volunteer-left" ? [event.volunteer] : [])));
  for (const { volunteer, open } of state.volunteers.values()) {
    if (gone.has(volunteer)) continue;
    for (const { lease: id, attempt } of open) {
      const lease = bookOf(state)?.leases.get(id);
      const assignment = lease?.assignments[attempt - 1];
      if (lease === undefined || assignment === undefined) continue;
      // A settled lease has a live rival only after a crash in the middle of an admission.
      const settled = lease.settled !== null;
      // Nor is a base too old but after one in the middle of a publication.
      const stale = hasLocalSteps(state) && stalenessOf(state, assignment.base.version) > state.spec.round.maxStaleness;
      if (!settled && !stale && assignment.deadlineAtMs > nowMs) continue;
      const reason = settled ? "settled-by-another" : stale ? "round-closed" : "expired";
      events.push({ type: "assignment-ended", lease: id, attempt, volunteer, reason });
      effects.push({ kind: "revoke", volunteer, lease: id, attempt, reason });
    }
  }
}
