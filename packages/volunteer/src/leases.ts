// The leases' part of the machine: asking, computing in micro-batches, throttling, giving back. Knows nothing of the connection's set-up or of uploads.
import { ERROR_CODES, MAX_OPEN_ASSIGNMENTS, type Refusal } from "@weft/protocol";
import { pieceAt, pieces } from "./plan.ts";
import { sameDevice } from "./ports.ts";
import { spentAt } from "./spending.ts";
import { type Input, type Job, jobKey, type LeaseAnswer } from "./state.ts";
import {
  AHEAD_FACTOR,
  AHEAD_MS,
  MAX_DEADLINE_MS,
  MAX_DEVICE_FAULTS,
  MAX_FIX_REFUSALS,
  OVERLAP_FROM_MS,
  PROGRESS_MS,
  SPEED_WEIGHT,
} from "./timing.ts";
import {
  backOff,
  closeLink,
  dropJob,
  emit,
  end,
  held,
  isFinal,
  jobOf,
  needsDevice,
  noteRefusal,
  patch,
  patchJob,
  setPhase,
  type Turn,
  waitAfterFault,
  waitForWork,
} from "./turn.ts";

const wantsLeases = ({ state }: Turn): boolean =>
  state.mode.kind === "running" && !held(state) && state.fitness.kind === "fit" && state.link.kind === "ready";

/** Asks for the next lease as soon as the device is free of the last, whose upload goes on beside, or so long before that it is here by then. */
export function advanceAsking(turn: Turn): void {
  const { state, now } = turn;
  const { asking } = state;
  if (!wantsLeases(turn) || asking.kind === "asked" || (asking.kind === "wait" && now < asking.untilMs)) return;
  const speed = shownSpeed(state);
  if (state.jobs.length >= MAX_OPEN_ASSIGNMENTS || state.jobs.some((job) => needsDevice(job) && !nearlyDone(turn, job, speed))) return;
  if (state.jobs.some(({ assignment }) => speed !== null && assignment.samples / speed < OVERLAP_FROM_MS / 1000)) return;
  patch(turn, { asking: { kind: "asked", again: false } });
  emit(turn, { kind: "request-lease", epoch: state.epoch, samplesPerSecond: speed });
}

/** Whether the next lease, asked for now, would be here about when the device is free; not sooner, so that its weights are the newest. */
function nearlyDone({ state }: Turn, { phase, plan, ahead }: Job, speed: number | null): boolean {
  if (!ahead || phase.kind !== "computing" || speed === null || state.fetchMs === null) return false;
  const lastsMs = (samples: number): number => (1000 * samples) / speed;
  // It is looked at between two pieces: what would be too late at the next is asked for now.
  const neededMs = AHEAD_FACTOR * state.fetchMs + AHEAD_MS + lastsMs(plan.piece);
  return lastsMs(plan.samples - phase.samplesDone) <= Math.max(lastsMs(plan.piece), Math.min(lastsMs(plan.samples) / 2, neededMs));
}

/** Speed as the coordinator should plan with: busy speed times the share of time in which the device may be busy. */
export const shownSpeed = ({
  busySamplesPerSecond,
  effort,
}: {
  readonly busySamplesPerSecond: number | null;
  readonly effort: number;
}): number | null => (busySamplesPerSecond === null ? null : Math.min(1e9, busySamplesPerSecond * effort));

export function onLeaseReply(turn: Turn, { epoch, reply }: Extract<Input, { kind: "lease-reply" }>): void {
  const { asking } = turn.state;
  if (epoch !== turn.state.epoch || asking.kind !== "asked") return;
  patch(turn, { asking: { kind: "no" } });
  if (!reply.ok) {
    onLeaseRefused(turn, reply);
    return;
  }
  if (reply.value.kind === "lease") {
    onLease(turn, reply.value);
    return;
  }
  // A notice overtook this answer: there may be work since.
  if (asking.again) waitForWork(turn, 0, reply.value.reason, null);
  else waitForWork(turn, reply.value.retryAfterMs, reply.value.reason, null);
}

function onLeaseRefused(turn: Turn, { code, message, retryAfterMs }: Refusal): void {
  if (code === "hello-first") {
    backOff(turn);
    return;
  }
  if (isFinal(code)) {
    noteRefusal(turn, code, message);
    end(turn, { kind: "refused", code, message }, null);
    return;
  }
  const { retry } = ERROR_CODES[code];
  if (retry) {
    waitForWork(turn, retryAfterMs ?? 2_000, message, code);
    return;
  }
  noteRefusal(turn, code, message);
  if (ERROR_CODES[code].advice === "fix" && turn.state.leaseFaults + 1 >= MAX_FIX_REFUSALS) {
    end(turn, { kind: "refused", code, message }, "stop");
    return;
  }
  waitAfterFault(turn, message, code);
}

function onLease(turn: Turn, { assignment }: Extract<LeaseAnswer, { kind: "lease" }>): void {
  const { state, now } = turn;
  const key = jobKey(assignment);
  if (jobOf(turn, key) !== undefined) return;
  if (!wantsLeases(turn)) {
    emit(turn, { kind: "release", assignment });
    return;
  }
  const job: Job = {
    key,
    assignment,
    deadlineAtMs: now + Math.min(assignment.remainingMs, MAX_DEADLINE_MS),
    phase: { kind: "fetching" },
    beganAtMs: now,
    plan: { samples: assignment.samples, piece: assignment.samples, stride: assignment.samples },
    samplesPerVersion: null,
    ahead: false,
    lossSum: 0,
    tries: 0,
  };
  const { milestones, startedAtMs } = state;
  patch(turn, {
    jobs: [...state.jobs, job],
    milestones:
      milestones.firstLeaseMs === undefined && startedAtMs !== null ? { ...milestones, firstLeaseMs: now - startedAtMs } : milestones,
  });
  emit(turn, { kind: "fetch", key, assignment });
}

export function onWork(turn: Turn, { epoch }: Extract<Input, { kind: "work" }>): void {
  if (epoch !== turn.state.epoch) return;
  const { asking } = turn.state;
  // A wait after a fault of our own stands: the notice says that there is work, not that it can be done here.
  if (asking.kind === "wait" && turn.state.leaseFaults === 0) patch(turn, { asking: { kind: "no" } });
  if (asking.kind === "asked") patch(turn, { asking: { kind: "asked", again: true } });
}

export function onRevoked(turn: Turn, { epoch, key, reason }: Extract<Input, { kind: "revoked" }>): void {
  if (epoch !== turn.state.epoch) return;
  const job = jobOf(turn, key);
  // What is computed is sent to its end: late, it counts for as long as nobody else has answered.
  if (reason === "expired" && job !== undefined && !needsDevice(job)) return;
  // The coordinator says that it does not count.
  dropJob(turn, key, false, "refused");
}

export function onFetched(turn: Turn, { key, plan, samplesPerVersion, ahead }: Extract<Input, { kind: "fetched" }>): void {
  const job = jobOf(turn, key);
  if (job?.phase.kind !== "fetching") return;
  patchJob(turn, key, { plan, samplesPerVersion, ahead });
  setPhase(turn, key, { kind: "ready" });
  const before = turn.state.fetchMs;
  const fetchMs = turn.now - job.beganAtMs;
  patch(turn, { fetchMs: before === null ? fetchMs : (1 - SPEED_WEIGHT) * before + SPEED_WEIGHT * fetchMs });
}

/** One lease at a time is on the device, the oldest first. */
export function advanceDevice(turn: Turn): void {
  const { jobs } = turn.state;
  const job = jobs.find(({ phase }) => phase.kind === "ready");
  if (job === undefined || jobs.some(({ phase }) => phase.kind === "computing")) return;
  setPhase(turn, job.key, { kind: "computing", done: 0, of: pieces(job.plan), samplesDone: 0 });
  emit(turn, { kind: "compute", key: job.key, index: 0, to: pieceAt(job.plan, 0).to, afterMs: 0 });
}

export function onComputed(turn: Turn, { key, to, lossSum, busyMs }: Extract<Input, { kind: "computed" }>): void {
  const job = jobOf(turn, key);
  if (job?.phase.kind !== "computing" || to <= job.phase.samplesDone) return;
  const { phase, assignment, plan } = job;
  const count = to - phase.samplesDone;
  const speed = (1000 * count) / Math.max(busyMs, 0.01);
  const before = turn.state.busySamplesPerSecond;
  patch(turn, {
    steps: turn.state.steps + 1,
    samples: turn.state.samples + count,
    busySamplesPerSecond: before === null ? speed : (1 - SPEED_WEIGHT) * before + SPEED_WEIGHT * speed,
  });
  const done = phase.done + 1;
  patchJob(turn, key, { lossSum: job.lossSum + lossSum, phase: { ...phase, done, samplesDone: to } });
  if (turn.state.link.kind === "ready" && turn.now - turn.state.progressAtMs >= PROGRESS_MS) {
    patch(turn, { progressAtMs: turn.now });
    emit(turn, { kind: "progress", assignment, done, of: phase.of, spentMs: spentAt(turn.state, turn.now) });
  }
  if (to >= plan.samples) {
    setPhase(turn, key, { kind: "packing" });
    emit(turn, { kind: "pack", key });
    return;
  }
  const { effort } = turn.state;
  const afterMs = (busyMs * (1 - effort)) / effort;
  emit(turn, { kind: "compute", key, index: done, to: pieceAt(plan, done).to, afterMs });
}

/** The lease cannot be done here now (a blob that is missing or wrong, a value that is not finite): said, given back, and a wait. */
export function onJobFailed(turn: Turn, { key, fault }: Extract<Input, { kind: "job-failed" }>): void {
  if (jobOf(turn, key) === undefined) return;
  noteRefusal(turn, fault.code, fault.message);
  dropJob(turn, key, true);
  waitAfterFault(turn, fault.message, fault.code);
}

/** Deadlines: an overdue lease is given to another, so computing on is waste. An upload goes on: a late answer may count. */
export function advanceDeadlines(turn: Turn): void {
  for (const job of turn.state.jobs)
    if (needsDevice(job) && turn.now >= job.deadlineAtMs) {
      const message = `Lease ${job.assignment.lease} was not done by its deadline.`;
      noteRefusal(turn, "lease-expired", message);
      dropJob(turn, job.key, true);
      // Without a wait, leases that are overdue when they come would be asked for in a circle.
      waitAfterFault(turn, message, "lease-expired");
    }
}

export function onTested(turn: Turn, { selfTest, device }: Extract<Input, { kind: "tested" }>): void {
  const { state } = turn;
  // While it is fit: another device took the place of one that was lost, in the middle of the work, which goes on.
  if (state.fitness.kind !== "testing" && state.fitness.kind !== "fit") return;
  const { milestones, startedAtMs } = state;
  patch(turn, {
    selfTest,
    device,
    milestones:
      milestones.selfTestMs === undefined && startedAtMs !== null ? { ...milestones, selfTestMs: turn.now - startedAtMs } : milestones,
  });
  if (!selfTest.passed) {
    end(turn, { kind: "unfit", reason: "wrong-values", detail: selfTest.detail }, "stop");
    return;
  }
  patch(turn, { fitness: { kind: "fit" } });
  // The hello named another device: say hello again.
  const changed = state.device !== null && !sameDevice(state.device, device);
  if (changed) {
    patch(turn, { busySamplesPerSecond: null });
    if (state.link.kind === "ready" || state.link.kind === "opening") closeLink(turn, null);
  }
}

export function onDeviceLost(turn: Turn, { key, detail }: Extract<Input, { kind: "device-lost" }>): void {
  if (key === null ? turn.state.fitness.kind !== "testing" : jobOf(turn, key) === undefined) return;
  const deviceFaults = turn.state.deviceFaults + 1;
  patch(turn, { deviceFaults });
  if (deviceFaults >= MAX_DEVICE_FAULTS) {
    end(turn, { kind: "unfit", reason: "lost", detail: detail.slice(0, 300) }, "stop");
    return;
  }
  for (const job of turn.state.jobs) if (needsDevice(job)) dropJob(turn, job.key, true);
  patch(turn, { fitness: { kind: "recovering", lost: detail.slice(0, 300), atMs: turn.now + 500 * 2 ** deviceFaults } });
}
