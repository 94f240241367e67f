// One step in the making: the state so far and the effects so far, with the small moves that all parts of the machine share.
// Pure as seen from outside: a turn lives and dies within one call of `step`.
import { ERROR_CODES, type ErrorCode } from "@weft/protocol";
import type { Verdict } from "./residuals.ts";
import type { Effect, Job, JobPhase, VolunteerState } from "./state.ts";
import { ASK_LATEST_MS, ASK_SOONEST_MS, FAULT_FIRST_MS, FAULT_LONGEST_MS, RECONNECT_FIRST_MS, RECONNECT_LONGEST_MS } from "./timing.ts";

export interface Turn {
  state: VolunteerState;
  readonly effects: Effect[];
  readonly now: number;
}

export const patch = (turn: Turn, change: Partial<VolunteerState>): void => {
  turn.state = { ...turn.state, ...change };
};
export const emit = (turn: Turn, effect: Effect): void => {
  turn.effects.push(effect);
};

export const jobOf = (turn: Turn, key: string): Job | undefined => turn.state.jobs.find((job) => job.key === key);
export const patchJob = (turn: Turn, key: string, change: Partial<Job>): void =>
  patch(turn, { jobs: turn.state.jobs.map((job) => (job.key === key ? { ...job, ...change } : job)) });
export const setPhase = (turn: Turn, key: string, phase: JobPhase): void => patchJob(turn, key, { phase });

/** Uniform in [0, 1): mulberry32, advancing the state. */
export function nextRandom(turn: Turn): number {
  const random = (turn.state.random + 0x6d2b79f5) >>> 0;
  patch(turn, { random });
  let t = Math.imul(random ^ (random >>> 15), 1 | random);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
}

/** Whether the person and the page let the device work now. */
export const held = (state: VolunteerState): boolean => Object.keys(state.holds).length > 0;
export const active = (state: VolunteerState): boolean => state.mode.kind === "running" || state.mode.kind === "finishing";
/** A job for which the device may still be needed; at most one of them is on it. */
export const needsDevice = (job: Job): boolean => job.phase.kind !== "uploading";

export const noteRefusal = (turn: Turn, code: ErrorCode, message: string): void =>
  patch(turn, { lastRefusal: { code, message: message.slice(0, 500) } });

/** Takes the job away; `giveBack` tells the coordinator so that it is offered again at once. `verdict`: on what was sent, if anything was. */
export function dropJob(turn: Turn, key: string, giveBack: boolean, verdict: Verdict = "unknown"): void {
  const job = jobOf(turn, key);
  if (job === undefined) return;
  patch(turn, { jobs: turn.state.jobs.filter((other) => other.key !== key) });
  if (giveBack && turn.state.link.kind === "ready") emit(turn, { kind: "release", assignment: job.assignment });
  emit(turn, { kind: "discard", key, verdict });
  const { asking } = turn.state;
  if (asking.kind === "wait" && asking.code === "too-many-assignments") patch(turn, { asking: { kind: "no" } });
}

/** Exponential back-off with full jitter in its upper half. */
const backoffMs = (turn: Turn, count: number, firstMs: number, longestMs: number): number => {
  const whole = Math.min(longestMs, firstMs * 2 ** Math.min(count, 20));
  return Math.round(whole / 2 + (whole / 2) * nextRandom(turn));
};

/** Closes the connection, what of it there is, and waits before the next attempt. Jobs are kept: the welcome says which are still open. */
export function backOff(turn: Turn, atLeastMs = 0): void {
  const waitMs = Math.max(atLeastMs, backoffMs(turn, turn.state.failedAttempts, RECONNECT_FIRST_MS, RECONNECT_LONGEST_MS));
  closeLink(turn, null);
  patch(turn, { link: { kind: "backoff", untilMs: turn.now + waitMs }, failedAttempts: turn.state.failedAttempts + 1 });
}

/** After it no answer of the old connection counts. */
export function closeLink(turn: Turn, goodbye: "goodbye" | "pause" | "stop" | null): void {
  if (turn.state.link.kind === "opening" || turn.state.link.kind === "ready") emit(turn, { kind: "disconnect", goodbye });
  patch(turn, {
    link: { kind: "down" },
    epoch: turn.state.epoch + 1,
    asking: { kind: "no" },
    jobs: turn.state.jobs.map((job) =>
      job.phase.kind === "uploading" ? { ...job, phase: { ...job.phase, stage: { kind: "waiting", untilMs: 0 } as const } } : job,
    ),
  });
}

export const waitForWork = (turn: Turn, waitMs: number, reason: string, code: ErrorCode | null): void => {
  const bounded = Math.min(ASK_LATEST_MS, Math.max(ASK_SOONEST_MS, waitMs));
  patch(turn, { asking: { kind: "wait", untilMs: turn.now + bounded, reason: reason.slice(0, 300), code } });
};

/** A lease could not be done: the longer it goes on, the longer the wait before the next. */
export function waitAfterFault(turn: Turn, reason: string, code: ErrorCode): void {
  const waitMs = backoffMs(turn, turn.state.leaseFaults, FAULT_FIRST_MS, FAULT_LONGEST_MS);
  patch(turn, { leaseFaults: turn.state.leaseFaults + 1 });
  if (turn.state.asking.kind !== "asked") waitForWork(turn, waitMs, reason, code);
}

/** Ends for good: jobs go, the connection goes, the device goes. */
export function end(turn: Turn, mode: VolunteerState["mode"], goodbye: "goodbye" | "pause" | "stop" | null): void {
  for (const job of turn.state.jobs) dropJob(turn, job.key, false);
  closeLink(turn, turn.state.link.kind === "ready" ? goodbye : null);
  patch(turn, { mode, holds: {}, fitness: { kind: "untested" } });
  emit(turn, { kind: "free-device" });
}

/** Codes after which asking again is pointless until somebody acts. */
export const isFinal = (code: ErrorCode): boolean => {
  const { advice } = ERROR_CODES[code];
  return advice === "stop" || advice === "reload" || advice === "sign-in";
};
