// The coordinator's judgement as one pure function: state, input and time in; events, effects and a reason out.
// It never changes the state: the shell stores the events, folds them with `evolve`, then carries out the effects.
import { decideContribution } from "./admission.ts";
import { decideClosed } from "./closing.ts";
import { giveUpRound } from "./endings.ts";
import type { Decision, Input } from "./inputs.ts";
import { decideRequest } from "./offers.ts";
import { decideBlock, decideJoin, decideLeave, decideRefused, decideRelease, decideUnblock } from "./people.ts";
import { decideRollBack } from "./roll-back.ts";
import type { ReadonlyRun } from "./state.ts";
import { decideTick } from "./tick.ts";

/**
 * A command that does not fit (resume a run that is not paused, block somebody who is blocked) gives no events and says why in
 * `reason`. Admission is final: an admitted contribution's verdict may be shown as soon as its events are durable.
 */
export function decide(state: ReadonlyRun, input: Input, nowMs: number): Decision {
  switch (input.kind) {
    case "pause":
      return state.phase === "running"
        ? { events: [{ type: "run-paused", by: input.by }], effects: [], reason: `The run was paused by ${input.by}.` }
        : unfitting(state, input.kind);
    case "resume":
      return state.phase === "paused"
        ? {
            events: [{ type: "run-resumed", by: input.by }],
            effects: [{ kind: "announce", version: state.version }],
            reason: `The run was resumed by ${input.by}.`,
          }
        : unfitting(state, input.kind);
    case "stop":
      return state.phase === "running" || state.phase === "paused" ? stop(state, input.by) : unfitting(state, input.kind);
    case "adopt":
      return state.coordinator === input.coordinator
        ? { events: [], effects: [], reason: "The run is this coordinator's." }
        : {
            events: [{ type: "run-adopted", coordinator: input.coordinator }],
            effects: [],
            reason: "The run came from another coordinator; this one goes on with it and signs with its own key.",
          };
    case "roll-back":
      return decideRollBack(state, input);
    case "block":
      return decideBlock(state, input.volunteer, input.by);
    case "unblock":
      return decideUnblock(state, input.volunteer, input.by);
    case "join":
      return decideJoin(state, input);
    case "leave":
      return decideLeave(state, input);
    case "request-lease":
      return decideRequest(state, input.volunteer, input.samplesPerSecond, nowMs, input.arriving);
    case "release":
      return decideRelease(state, input);
    case "contribution":
      return decideContribution(state, input.header, input.signature, input.norm, nowMs);
    case "refused":
      return decideRefused(state, input);
    case "closed":
      return decideClosed(state, input);
    case "evaluated":
      return evaluated(state, input);
    case "checkpointed":
      return state.owed.checkpoints.has(input.version)
        ? {
            events: [{ type: "checkpoint-written", version: input.version, archive: input.archive }],
            effects: [],
            reason: `The checkpoint of version ${input.version} is written.`,
          }
        : { events: [], effects: [], reason: `No checkpoint of version ${input.version} is owed.` };
    case "tick":
      return decideTick(state, nowMs, input.upSinceMs);
    default:
      return input satisfies never;
  }
}

const unfitting = (state: ReadonlyRun, command: string): Decision => ({
  events: [],
  effects: [],
  reason: `The run is ${state.phase}; it cannot ${command}.`,
});

function stop(state: ReadonlyRun, by: string): Decision {
  const { events, effects, abandoned } = giveUpRound(state, "round-closed");
  return { events: [...events, { type: "run-stopped", by, abandoned }], effects, reason: `The run was stopped by ${by}.` };
}

function evaluated(state: ReadonlyRun, { version, evaluation }: Extract<Input, { kind: "evaluated" }>): Decision {
  if (!state.owed.evaluations.has(version)) return { events: [], effects: [], reason: `No evaluation of version ${version} is owed.` };
  return {
    events: [{ type: "version-evaluated", version, evaluation }],
    effects: state.owed.checkpoints.has(version) ? [{ kind: "checkpoint", version }] : [],
    reason: `Version ${version} is evaluated.`,
  };
}
