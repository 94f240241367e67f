// The uploads' part of the machine: header, chunks in a window, the verdict, and starting again. Knows nothing of what the bytes mean.
import { CHUNK_BYTES, CHUNK_WINDOW, ERROR_CODES, type ErrorCode, type Refusal } from "@weft/protocol";
import type { Input, Job, UploadStage } from "./state.ts";
import { FAULT_LONGEST_MS, MAX_FIX_REFUSALS, MAX_LOSSES, MAX_SHARES, MAX_UPLOAD_TRIES, RESEND_FIRST_MS } from "./timing.ts";
import { backOff, dropJob, emit, end, isFinal, jobOf, noteRefusal, patch, patchJob, type Turn, waitAfterFault } from "./turn.ts";

/** Codes that speak against the bytes sent: more of the same would be refused too. */
const OWN_FAULTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "wrong-length",
  "wrong-codec",
  "wrong-sample-count",
  "not-finite",
  "bad-payload",
]);

const setStage = (turn: Turn, key: string, stage: UploadStage): void => {
  const job = jobOf(turn, key);
  if (job?.phase.kind === "uploading") patchJob(turn, key, { phase: { ...job.phase, stage } });
};

export function onPacked(turn: Turn, { key, sizeBytes }: Extract<Input, { kind: "packed" }>): void {
  if (jobOf(turn, key)?.phase.kind !== "packing") return;
  const chunks = Math.ceil(sizeBytes / CHUNK_BYTES);
  patchJob(turn, key, { phase: { kind: "uploading", chunks, sizeBytes, stage: { kind: "waiting", untilMs: 0 } } });
}

export function advanceUploads(turn: Turn): void {
  if (turn.state.link.kind !== "ready") return;
  for (const { key, phase } of turn.state.jobs) {
    if (phase.kind !== "uploading") continue;
    if (phase.stage.kind === "waiting" && turn.now >= phase.stage.untilMs) {
      setStage(turn, key, { kind: "opening" });
      emit(turn, { kind: "open-upload", epoch: turn.state.epoch, key });
    }
    if (phase.stage.kind !== "sending") continue;
    let { sent } = phase.stage;
    const { acked } = phase.stage;
    for (; sent < phase.chunks && sent < acked + CHUNK_WINDOW; sent++)
      emit(turn, { kind: "send-chunk", epoch: turn.state.epoch, key, index: sent });
    setStage(turn, key, { kind: "sending", acked, sent });
  }
}

export function onUploadOpened(turn: Turn, { epoch, key, reply }: Extract<Input, { kind: "upload-opened" }>): void {
  const job = jobOf(turn, key);
  if (epoch !== turn.state.epoch || job?.phase.kind !== "uploading" || job.phase.stage.kind !== "opening") return;
  if (!reply.ok) {
    onUploadRefused(turn, job, reply);
    return;
  }
  // Where the coordinator has all chunks, the last one is sent again: its acknowledgement carries the verdict.
  const next = Math.min(reply.value, job.phase.chunks - 1);
  setStage(turn, key, { kind: "sending", acked: next, sent: next });
}

export function onChunkAcked(turn: Turn, { epoch, key, index, reply }: Extract<Input, { kind: "chunk-acked" }>): void {
  const job = jobOf(turn, key);
  if (epoch !== turn.state.epoch || job?.phase.kind !== "uploading" || job.phase.stage.kind !== "sending") return;
  if (!reply.ok) {
    onUploadRefused(turn, job, reply);
    return;
  }
  const { chunks, sizeBytes, stage } = job.phase;
  patch(turn, { bytesUp: turn.state.bytesUp + Math.min(CHUNK_BYTES, sizeBytes - index * CHUNK_BYTES) });
  if (reply.value.kind === "admitted") {
    onAdmitted(turn, job, reply.value.version);
    return;
  }
  const acked = Math.max(stage.acked, index + 1);
  // Acknowledged as received, but not as far as this chunk, or to the end without a verdict: begin again from what the coordinator has.
  if (reply.value.nextChunk <= index || acked >= chunks) {
    tryAgain(turn, job, undefined, "bad-chunk", "The upload lost its place.");
    return;
  }
  setStage(turn, key, { kind: "sending", acked, sent: Math.max(stage.sent, acked) });
}

function onAdmitted(turn: Turn, job: Job, version: number): void {
  const { state, now } = turn;
  const { run, samples } = job.assignment;
  const share = job.samplesPerVersion === null ? 0 : Math.min(1, samples / job.samplesPerVersion);
  const known = state.shares.some((row) => row.run === run && row.version === version);
  const shares =
    share === 0
      ? state.shares
      : known
        ? state.shares.map((row) => (row.run === run && row.version === version ? { ...row, share: Math.min(1, row.share + share) } : row))
        : [...state.shares, { run, version, share }].slice(-MAX_SHARES);
  const { milestones, startedAtMs } = state;
  patch(turn, {
    admitted: state.admitted + 1,
    deviceFaults: 0,
    leaseFaults: 0,
    shares,
    losses: [...state.losses, { run, mean: job.lossSum / samples }].slice(-MAX_LOSSES),
    milestones:
      milestones.firstAdmittedMs === undefined && startedAtMs !== null ? { ...milestones, firstAdmittedMs: now - startedAtMs } : milestones,
  });
  dropJob(turn, job.key, false, "admitted");
}

function tryAgain(turn: Turn, job: Job, retryAfterMs: number | undefined, code: ErrorCode, message: string): void {
  if (job.phase.kind !== "uploading") return;
  const tries = job.tries + 1;
  if (tries > MAX_UPLOAD_TRIES) {
    noteRefusal(turn, code, message);
    dropJob(turn, job.key, true);
    waitAfterFault(turn, message, code);
    return;
  }
  // Longer each time, also where the coordinator names a short wait: eight refusals a moment apart are one and the same trouble.
  const waitMs = Math.min(FAULT_LONGEST_MS, Math.max(retryAfterMs ?? 0, RESEND_FIRST_MS * 2 ** (tries - 1)));
  patchJob(turn, job.key, { tries, phase: { ...job.phase, stage: { kind: "waiting", untilMs: turn.now + waitMs } } });
}

function onUploadRefused(turn: Turn, job: Job, { code, message, retryAfterMs }: Refusal): void {
  if (code === "hello-first") {
    backOff(turn);
    return;
  }
  const { advice } = ERROR_CODES[code];
  if (advice === "retry" || advice === "resend") {
    tryAgain(turn, job, retryAfterMs, code, message);
    return;
  }
  noteRefusal(turn, code, message);
  patch(turn, { refused: turn.state.refused + 1 });
  if (isFinal(code)) {
    end(turn, { kind: "refused", code, message }, null);
    return;
  }
  dropJob(turn, job.key, advice === "fix", "refused");
  if (advice === "fix" && turn.state.leaseFaults + 1 >= MAX_FIX_REFUSALS) {
    end(turn, { kind: "refused", code, message }, "stop");
    return;
  }
  if (advice === "fix" || OWN_FAULTS.has(code)) waitAfterFault(turn, message, code);
}
