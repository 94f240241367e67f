// The connection's part of the machine: connect, challenge, hello, welcome, and what follows when one of them fails.
// Knows nothing of computing.
import { ERROR_CODES, PROTOCOL_VERSION, type Refusal } from "@weft/protocol";
import { type Input, jobKey } from "./state.ts";
import { MAX_DEADLINE_MS, OPENING_MS } from "./timing.ts";
import { active, backOff, dropJob, emit, end, held, isFinal, needsDevice, noteRefusal, patch, patchJob, type Turn } from "./turn.ts";

type LinkInput = Extract<Input, { kind: "connected" | "challenged" | "disconnected" | "welcome" | "bad-notice" }>;

export function onLink(turn: Turn, input: LinkInput): void {
  if (input.epoch !== turn.state.epoch) return;
  switch (input.kind) {
    case "connected":
      setStage(turn, "challenge");
      return;
    case "challenged":
      onChallenge(turn, input.protocol);
      return;
    case "disconnected":
      if (turn.state.link.kind === "opening" || turn.state.link.kind === "ready") backOff(turn);
      return;
    case "welcome":
      onWelcome(turn, input.reply);
      return;
    case "bad-notice":
      noteRefusal(turn, "bad-message", `The coordinator sent a ${input.event} that cannot be read.`);
      // Without a challenge there is no hello; any other notice can be done without.
      if (input.event === "challenge" && turn.state.link.kind === "opening") backOff(turn);
      return;
    default:
      input satisfies never;
  }
}

function setStage(turn: Turn, stage: "challenge" | "hello"): void {
  const { link } = turn.state;
  if (link.kind === "opening") patch(turn, { link: { ...link, stage } });
}

function onChallenge(turn: Turn, protocol: number): void {
  const { link } = turn.state;
  if (link.kind !== "opening" || link.stage === "hello") return;
  if (protocol !== PROTOCOL_VERSION) {
    const message = `This page speaks protocol ${PROTOCOL_VERSION}, the coordinator ${protocol}. Reload the page.`;
    noteRefusal(turn, "protocol-version", message);
    end(turn, { kind: "refused", code: "protocol-version", message }, null);
    return;
  }
  setStage(turn, "hello");
  emit(turn, { kind: "say-hello", epoch: turn.state.epoch });
}

function onWelcome(turn: Turn, reply: Extract<Input, { kind: "welcome" }>["reply"]): void {
  if (turn.state.link.kind !== "opening") return;
  if (!reply.ok) {
    onHelloRefused(turn, reply);
    return;
  }
  patch(turn, { link: { kind: "ready", sinceMs: turn.now }, failedAttempts: 0, everConnected: true });
  const { milestones, startedAtMs } = turn.state;
  if (milestones.connectedMs === undefined && startedAtMs !== null)
    patch(turn, { milestones: { ...milestones, connectedMs: turn.now - startedAtMs } });
  const open = new Map(reply.value.map((assignment) => [jobKey(assignment), assignment]));
  for (const job of turn.state.jobs) {
    const assignment = open.get(job.key);
    open.delete(job.key);
    if (assignment !== undefined) patchJob(turn, job.key, { deadlineAtMs: turn.now + Math.min(assignment.remainingMs, MAX_DEADLINE_MS) });
    // An upload goes on even so: a late answer counts while its lease is unsettled, and a lost verdict can be asked for again.
    else if (needsDevice(job)) dropJob(turn, job.key, false);
  }
  // Of another life of this key (a reloaded page): given back so that they are offered again at once.
  for (const assignment of open.values()) emit(turn, { kind: "release", assignment });
}

function onHelloRefused(turn: Turn, { code, message, retryAfterMs }: Refusal): void {
  noteRefusal(turn, code, message);
  // A refused hello that trying again cannot mend: a bad name or origin needs a person as much as a block does.
  if (isFinal(code) || ERROR_CODES[code].advice === "fix") {
    end(turn, { kind: "refused", code, message }, null);
    return;
  }
  backOff(turn, retryAfterMs);
}

/** Opens what should be open and gives up what takes too long. */
export function advanceLink(turn: Turn): void {
  const { state, now } = turn;
  const { link } = state;
  if (link.kind === "opening" && now >= link.giveUpAtMs) {
    backOff(turn);
    return;
  }
  const wanted = active(state) && (held(state) ? state.jobs.length > 0 : state.fitness.kind === "fit" || state.jobs.length > 0);
  if (!wanted || (link.kind === "backoff" && now < link.untilMs) || link.kind === "opening" || link.kind === "ready") return;
  const epoch = state.epoch + 1;
  patch(turn, { epoch, link: { kind: "opening", stage: "connecting", giveUpAtMs: now + OPENING_MS } });
  emit(turn, { kind: "connect", epoch });
}
