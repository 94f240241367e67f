// The volunteer's state machine: `step(state, input, now)` gives the next state and what the shell must do. Pure; the parts stand in
// link.ts (connection), leases.ts (asking and computing) and upload.ts.
import {
  advanceAsking,
  advanceDeadlines,
  advanceDevice,
  onComputed,
  onDeviceLost,
  onFetched,
  onJobFailed,
  onLeaseReply,
  onRevoked,
  onTested,
  onWork,
} from "./leases.ts";
import { advanceLink, onLink } from "./link.ts";
import { account } from "./spending.ts";
import { clampEffort, type Effect, type Input, type VolunteerState } from "./state.ts";
import { active, closeLink, dropJob, emit, end, held, needsDevice, patch, type Turn } from "./turn.ts";
import { advanceUploads, onChunkAcked, onPacked, onUploadOpened } from "./upload.ts";

export interface Step {
  readonly state: VolunteerState;
  readonly effects: readonly Effect[];
}

export function step(state: VolunteerState, input: Input, now: number): Step {
  const turn: Turn = { state, effects: [], now };
  apply(turn, input);
  advance(turn);
  account(turn);
  return { state: turn.state, effects: turn.effects };
}

function apply(turn: Turn, input: Input): void {
  switch (input.kind) {
    case "start":
      onStart(turn, input.run);
      return;
    case "pause":
      if (active(turn.state)) hold(turn, "you", input.untilMs);
      return;
    case "resume":
      unhold(turn, "you");
      return;
    case "hold":
      if (active(turn.state)) hold(turn, input.reason, null);
      return;
    case "unhold":
      unhold(turn, input.reason);
      return;
    case "finish":
      onFinish(turn);
      return;
    case "stop":
      if (active(turn.state)) end(turn, { kind: "stopped" }, "stop");
      return;
    case "effort":
      patch(turn, { effort: clampEffort(input.effort) });
      return;
    case "name":
      onName(turn, input.name);
      return;
    case "tick":
      return;
    case "tested":
      onTested(turn, input);
      return;
    case "device-lost":
      onDeviceLost(turn, input);
      return;
    case "connected":
    case "challenged":
    case "disconnected":
    case "welcome":
    case "bad-notice":
      onLink(turn, input);
      return;
    case "lease-reply":
      onLeaseReply(turn, input);
      return;
    case "work":
      onWork(turn, input);
      return;
    case "revoked":
      onRevoked(turn, input);
      return;
    case "fetched":
      onFetched(turn, input);
      return;
    case "downloaded":
      patch(turn, { bytesDown: turn.state.bytesDown + input.bytes });
      return;
    case "weights": {
      const { weights } = turn.state;
      patch(turn, { weights: { ...weights, [input.way]: weights[input.way] + 1 } });
      return;
    }
    case "computed":
      onComputed(turn, input);
      return;
    case "packed":
      onPacked(turn, input);
      return;
    case "job-failed":
      onJobFailed(turn, input);
      return;
    case "upload-opened":
      onUploadOpened(turn, input);
      return;
    case "chunk-acked":
      onChunkAcked(turn, input);
      return;
    default:
      input satisfies never;
  }
}

function onStart(turn: Turn, run: string | null): void {
  if (active(turn.state)) return;
  patch(turn, {
    mode: { kind: "running" },
    run,
    holds: {},
    fitness: { kind: "untested" },
    failedAttempts: 0,
    everConnected: false,
    deviceFaults: 0,
    leaseFaults: 0,
    startedAtMs: turn.now,
    spentMs: { computing: 0, downloading: 0, uploading: 0, waiting: 0 },
    doing: null,
    milestones: {},
    lastRefusal: null,
  });
}

/** The lease on the device is the one in hand: the next, fetched ahead, is given back. */
function onFinish(turn: Turn): void {
  if (turn.state.mode.kind !== "running") return;
  patch(turn, { mode: { kind: "finishing" } });
  const waiting = turn.state.jobs.filter(needsDevice).slice(1);
  for (const { key } of waiting) dropJob(turn, key, true);
}

function onName(turn: Turn, name: string | null): void {
  if (name === turn.state.name) return;
  patch(turn, { name });
  // The name stands in the hello: say it again.
  if (turn.state.link.kind === "opening" || turn.state.link.kind === "ready") closeLink(turn, null);
}

function hold(turn: Turn, reason: keyof VolunteerState["holds"], untilMs: number | null): void {
  const sinceMs = turn.state.holds[reason]?.sinceMs ?? turn.now;
  patch(turn, { holds: { ...turn.state.holds, [reason]: { sinceMs, untilMs } } });
}
function unhold(turn: Turn, reason: keyof VolunteerState["holds"]): void {
  const { [reason]: _gone, ...holds } = turn.state.holds;
  patch(turn, { holds });
}

/** What follows from the state alone, whatever brought it about. */
function advance(turn: Turn): void {
  const pause = turn.state.holds.you;
  if (pause !== undefined && pause.untilMs !== null && turn.now >= pause.untilMs) unhold(turn, "you");
  if (!active(turn.state)) return;
  advanceDeadlines(turn);
  if (held(turn.state)) advanceHeld(turn);
  else advanceDevice(turn);
  const { fitness, mode, jobs, asking } = turn.state;
  if (mode.kind === "finishing" && jobs.length === 0 && asking.kind !== "asked") {
    end(turn, { kind: "stopped" }, "stop");
    return;
  }
  if (!held(turn.state) && (fitness.kind === "untested" || (fitness.kind === "recovering" && turn.now >= fitness.atMs))) {
    patch(turn, { fitness: { kind: "testing", lost: fitness.kind === "recovering" ? fitness.lost : null } });
    emit(turn, { kind: "test-device", anew: fitness.kind === "recovering" });
  }
  advanceLink(turn);
  advanceAsking(turn);
  advanceUploads(turn);
}

/** Held: what needs the device is given back; what is only being sent is sent, unless the page is about to be frozen. */
function advanceHeld(turn: Turn): void {
  const frozen = turn.state.holds.frozen !== undefined;
  for (const job of turn.state.jobs) if (frozen || needsDevice(job)) dropJob(turn, job.key, true);
  const { link, jobs } = turn.state;
  if (jobs.length > 0) return;
  if (link.kind === "opening" || link.kind === "ready") closeLink(turn, link.kind === "ready" ? "pause" : null);
  else if (link.kind === "backoff") patch(turn, { link: { kind: "down" } });
}

/** When `step` wants a `tick` at the latest; null: not before something happens. */
export function nextWakeMs(state: VolunteerState): number | null {
  const times: number[] = [];
  const { you } = state.holds;
  if (you?.untilMs != null) times.push(you.untilMs);
  if (active(state)) {
    if (state.fitness.kind === "recovering" && !held(state)) times.push(state.fitness.atMs);
    if (state.link.kind === "opening") times.push(state.link.giveUpAtMs);
    if (state.link.kind === "backoff") times.push(state.link.untilMs);
    if (state.link.kind === "ready" && state.asking.kind === "wait") times.push(state.asking.untilMs);
    for (const job of state.jobs) {
      if (needsDevice(job)) times.push(job.deadlineAtMs);
      else if (job.phase.kind === "uploading" && job.phase.stage.kind === "waiting" && state.link.kind === "ready")
        times.push(job.phase.stage.untilMs);
    }
  }
  return times.length === 0 ? null : Math.min(...times);
}
