// Going back to an earlier version: a new version with the old one's weights, and a round that begins where that one stood.
// Knows no ledger: the earlier version is given as the shell found it there.
import type { LedgerEvent } from "@weft/protocol";
import { sequelOf } from "./closing.ts";
import { giveUpRound } from "./endings.ts";
import type { Decision, Effect, Input } from "./inputs.ts";
import { samplesCounted } from "./schedule.ts";
import type { ReadonlyRun } from "./state.ts";

/**
 * Versions rise by one, so the state of version V comes back as a new version. The open round is given up; its admitted contributions are
 * named. A running run goes on at once; a paused one stays paused, and a finished one becomes paused; a stopped one stays as it is.
 */
export function decideRollBack(state: ReadonlyRun, { by, point }: Extract<Input, { kind: "roll-back" }>): Decision {
  const nothing = (reason: string): Decision => ({ events: [], effects: [], reason });
  if (state.phase === "stopped") return nothing("The run is stopped; a new run can go on from one of its versions.");
  if (point.version >= state.version)
    return nothing(`The run is at version ${state.version}; it can be rolled back to an earlier one, not to ${point.version}.`);
  const { events: ends, effects: revokes, abandoned } = giveUpRound(state, "rolled-back");
  const version = state.version + 1;
  const { version: to, weights, optimizer, position, steps, pending = [] } = point;
  const left = pending.length > 0 ? { pending: [...pending] } : {};
  const rolledBack = { type: "run-rolled-back", version, to, by, weights, optimizer, position, steps, ...left, abandoned } as const;
  const events: LedgerEvent[] = [...ends, rolledBack, sequelOf(state.spec, { version, position, steps, samples: samplesCounted(point) })];
  const effects: Effect[] = [...revokes, { kind: "evaluate", version, weights }];
  if (state.phase === "running") effects.push({ kind: "announce", version });
  return { events, effects, reason: `The run was rolled back by ${by}: version ${version} is version ${to} again.` };
}
