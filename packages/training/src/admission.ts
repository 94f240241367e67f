// Whether an answer counts. Judges the signed header against the round; hash, length, signature and finiteness of the bytes were
// checked by the shell before. Knows nothing of uploads.
import {
  type ContributionHeader,
  type ErrorCode,
  f32FromHex,
  f32ToHex,
  type LedgerEvent,
  type Refusal,
  refuse,
  type Signature,
  shortKey,
} from "@weft/protocol";
import { type Admission, closingNow } from "./closing.ts";
import { liveEnds } from "./endings.ts";
import type { Decision, Effect } from "./inputs.ts";
import { assignmentStanding } from "./machine.ts";
import { admittedReason } from "./reasons.ts";
import {
  bookOf,
  countingVersion,
  findAssignment,
  hasLocalSteps,
  leaseBase,
  type ReadonlyAssignment,
  type ReadonlyLease,
  type ReadonlyRun,
  stalenessOf,
} from "./state.ts";

/** Null where the answer would be admitted now. Cheap: ask it before an upload begins, and again by `decide` when it is whole. */
export function checkContribution(state: ReadonlyRun, header: ContributionHeader): Refusal | null {
  if (header.run !== state.run) return refuse("unknown-run", `This is run ${state.run}, not ${header.run}.`);
  if (state.volunteers.get(header.volunteer)?.blocked) return refuse("blocked", "This run's admin has blocked this key.");
  const { lease: id, attempt } = header;
  const lease = bookOf(state)?.leases.get(id);
  if (lease === undefined) return whyNoSuchLease(state, header);
  if (state.phase === "stopped" || state.phase === "finished") return refuse("run-not-active", `The run is ${state.phase}.`);
  const assignment = findAssignment(state, id, attempt);
  if (assignment === null || assignment.volunteer !== header.volunteer)
    return refuse("not-your-lease", `Attempt ${attempt} at lease ${id} was not given to ${shortKey(header.volunteer)}.`);
  if (lease.settled !== null) {
    return isSameAnswer(lease.settled, header)
      ? refuse("duplicate", `This answer to lease ${id} is already admitted.`)
      : refuse("lease-settled", `Lease ${id} was settled by ${shortKey(lease.settled.volunteer)} first.`);
  }
  if (assignmentStanding(assignment) === "forfeited")
    return refuse("lease-expired", `Attempt ${attempt} at lease ${id} ended as ${assignment.end}.`);
  if (state.round === null) return refuse("unavailable", "The next round is about to open.", 500);
  if (isLastClosing(state)) return refuse("run-not-active", "The run's last round is closing with what it has.");
  return checkContent(state, lease, assignment, header);
}

/** What is admitted while a round closes is of the next one: here there is none. */
const isLastClosing = ({ spec, steps, round }: ReadonlyRun): boolean => round?.closing != null && steps + 1 >= spec.training.versions;

/** There is no such lease: it is settled and done, too old, or it never was. */
function whyNoSuchLease(state: ReadonlyRun, header: ContributionHeader): Refusal {
  const settled = state.lastSettled.get(header.lease);
  if (settled !== undefined && isSameAnswer(settled, header))
    return refuse("duplicate", `This answer to lease ${header.lease} is part of version ${state.version}.`);
  const base = leaseBase(header.lease);
  if (base < state.version)
    return refuse(
      "stale",
      hasLocalSteps(state)
        ? `Lease ${header.lease} was settled or given up before version ${state.version}.`
        : `Lease ${header.lease} builds on version ${base}; the run is at version ${state.version}.`,
    );
  if (state.phase === "stopped" || state.phase === "finished") return refuse("run-not-active", `The run is ${state.phase}.`);
  return refuse("unknown-lease", `There is no lease ${header.lease}.`);
}

const isSameAnswer = (
  settled: { readonly attempt: number; readonly volunteer: string; readonly sha256: string },
  header: ContributionHeader,
) => settled.volunteer === header.volunteer && settled.attempt === header.attempt && settled.sha256 === header.sha256;

function checkContent(
  state: ReadonlyRun,
  lease: ReadonlyLease,
  { base, codec }: ReadonlyAssignment,
  header: ContributionHeader,
): Refusal | null {
  if (header.base !== base.weights.sha256) return refuse("stale", "The update was computed on other weights than those of the lease.");
  const { maxStaleness } = state.spec.round;
  const staleness = stalenessOf(state, base.version);
  if (staleness > maxStaleness)
    return refuse("stale", `Version ${base.version} lies ${staleness} versions back; at most ${maxStaleness} are taken.`);
  if (header.codec !== codec) return refuse("wrong-codec", `The assignment's codec is ${codec}, not ${header.codec}.`);
  if (header.samples !== lease.samples)
    return refuse("wrong-sample-count", `Lease ${lease.lease} has ${lease.samples} samples, the answer ${header.samples}.`);
  if (!Number.isFinite(f32FromHex(header.lossMean))) return refuse("not-finite", "The loss is not a finite number.");
  return null;
}

/** Refusals that say something about the answer itself: its assignment is over, so that the lease can be given to another. */
export const CONTENT_FAULTS: ReadonlySet<ErrorCode> = new Set(["stale", "wrong-codec", "wrong-sample-count", "not-finite"]);

export function decideContribution(
  state: ReadonlyRun,
  header: ContributionHeader,
  signature: Signature,
  norm: number,
  nowMs: number,
): Decision {
  const refusal = Number.isFinite(norm)
    ? checkContribution(state, header)
    : refuse("not-finite", "The update's norm is not a finite number.");
  return refusal === null ? admit(state, header, signature, norm, nowMs) : turnAway(state, header, refusal);
}

function turnAway(state: ReadonlyRun, header: ContributionHeader, { code, message }: Refusal): Decision {
  const { volunteer, lease, attempt } = header;
  const verdict: Effect = { kind: "verdict", volunteer, lease, attempt, verdict: { ok: false, code, detail: message } };
  const reason = `Refused an answer of ${shortKey(volunteer)} to lease ${lease}: ${message}`;
  // A resend after a lost acknowledgement is no fault of anybody and leaves no trace in the ledger.
  if (code === "duplicate") return { events: [], effects: [verdict], reason };
  const events: LedgerEvent[] = [{ type: "contribution-refused", volunteer, lease, code, detail: message.slice(0, 500) }];
  const effects: Effect[] = [verdict];
  const assignment = findAssignment(state, lease, attempt);
  if (CONTENT_FAULTS.has(code) && assignment?.end === null && assignment.volunteer === volunteer) {
    events.unshift({ type: "assignment-ended", lease, attempt, volunteer, reason: "refused" });
    effects.push({ kind: "announce", version: state.version });
  }
  return { events, effects, reason };
}

function admit(state: ReadonlyRun, header: ContributionHeader, signature: Signature, norm: number, nowMs: number): Decision {
  const { volunteer, lease: id, attempt } = header;
  const round = state.round as NonNullable<typeof state.round>;
  const lease = round.leases.get(id) as ReadonlyLease;
  const version = countingVersion(state);
  const rivals = liveEnds(lease, "settled-by-another", (assignment) => assignment.attempt !== attempt);
  const effects: Effect[] = [{ kind: "verdict", volunteer, lease: id, attempt, verdict: { ok: true, version } }, ...rivals.effects];
  const base = (lease.assignments[attempt - 1] as ReadonlyAssignment).base.version;
  const closing = closingNow(state, nowMs, { header, base } satisfies Admission);
  effects.push(...(closing?.effects ?? []));
  return {
    events: [{ type: "contribution-admitted", header, signature, norm: f32ToHex(norm) }, ...rivals.events, ...(closing?.events ?? [])],
    effects,
    reason: admittedReason(state, round, lease, volunteer, closing !== null),
  };
}
