// The state as people see it. Knows no pixels.
import { shownSpeed } from "./leases.ts";
import { pieces } from "./plan.ts";
import type { LeaseProgress, VolunteerSnapshot, VolunteerStatus } from "./snapshot.ts";
import type { VolunteerState } from "./state.ts";
import { held, needsDevice } from "./turn.ts";

export function statusOf(state: VolunteerState): VolunteerStatus {
  const { mode } = state;
  switch (mode.kind) {
    case "idle":
      return { state: "idle" };
    case "stopped":
      return { state: "stopped" };
    case "refused":
      return { state: "refused", code: mode.code, message: mode.message };
    case "unfit":
      return { state: "unfit", reason: mode.reason, detail: mode.detail };
    case "finishing":
      return { state: "finishing" };
    case "running":
      return held(state) ? pausedStatus(state) : runningStatus(state);
    default:
      return mode satisfies never;
  }
}

function pausedStatus({ holds }: VolunteerState): VolunteerStatus {
  const reason = holds.you !== undefined ? "you" : holds.battery !== undefined ? "battery" : "frozen";
  const { sinceMs = 0, untilMs = null } = holds[reason] ?? {};
  return { state: "paused", sinceMs, untilMs, reason };
}

function runningStatus(state: VolunteerState): VolunteerStatus {
  const { link, jobs, asking, fitness } = state;
  if (fitness.kind === "recovering") return { state: "recovering", detail: fitness.lost, retryAtMs: fitness.atMs };
  if (fitness.kind === "testing" && fitness.lost !== null) return { state: "recovering", detail: fitness.lost, retryAtMs: null };
  if (fitness.kind !== "fit") return { state: "starting", step: "self-test" };
  if (link.kind !== "ready") {
    if (!state.everConnected && state.failedAttempts === 0) return { state: "starting", step: "connecting" };
    const retryAtMs = link.kind === "backoff" ? link.untilMs : link.kind === "opening" ? link.giveUpAtMs : 0;
    const deadlines = jobs.map((job) => job.deadlineAtMs);
    return { state: "offline", retryAtMs, leaseKeptUntilMs: deadlines.length === 0 ? null : Math.max(...deadlines) };
  }
  if (jobs.length > 0) {
    const fetchingFirst = state.steps === 0 && jobs.every((job) => job.phase.kind === "fetching");
    return fetchingFirst ? { state: "starting", step: "fetching" } : { state: "working" };
  }
  if (asking.kind === "wait") return { state: "waiting", reason: asking.reason };
  return state.steps === 0 ? { state: "starting", step: "first-lease" } : { state: "working" };
}

function leaseOf({ jobs }: VolunteerState): LeaseProgress | null {
  const job = jobs.find(needsDevice) ?? jobs.at(-1);
  if (job === undefined) return null;
  const { assignment, phase, deadlineAtMs } = job;
  const steps = pieces(job.plan);
  const common = { run: assignment.run, version: assignment.version, lease: assignment.lease, samples: assignment.samples, deadlineAtMs };
  switch (phase.kind) {
    case "fetching":
    case "ready":
      return { ...common, step: 0, steps: 0, phase: "fetching" };
    case "computing":
      return { ...common, step: phase.done, steps: phase.of, phase: "computing" };
    case "packing":
    case "uploading":
      return { ...common, step: steps, steps, phase: "uploading" };
    default:
      return phase satisfies never;
  }
}

/** Losses of different models are not to be compared. */
const lossesOf = ({ losses }: VolunteerState): readonly number[] => {
  const newest = losses.at(-1)?.run;
  return losses.filter(({ run }) => run === newest).map(({ mean }) => mean);
};

export const snapshotOf = (state: VolunteerState): VolunteerSnapshot => ({
  status: statusOf(state),
  volunteer: state.volunteer,
  name: state.name,
  device: state.device,
  selfTest: state.selfTest,
  lease: leaseOf(state),
  shares: state.shares,
  losses: lossesOf(state),
  steps: state.steps,
  samples: state.samples,
  admitted: state.admitted,
  refused: state.refused,
  bytesUp: state.bytesUp,
  bytesDown: state.bytesDown,
  weights: state.weights,
  samplesPerSecond: shownSpeed(state),
  effort: state.effort,
  startedAtMs: state.startedAtMs,
  spentMs: state.spentMs,
  doing: state.doing,
  milestones: state.milestones,
  lastRefusal: state.lastRefusal,
});
