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
import { closeRoundOf } from "./closing.ts";
import { liveEnds } from "./endings.ts";
import type { Decision, Effect } from "./inputs.ts";
import { assignmentStanding } from "./machine.ts";
import { findAssignment, leaseBase, type ReadonlyLease, type ReadonlyRun } from "./state.ts";

/** Null where the answer would be admitted now. Cheap: ask it before an upload begins, and again by `decide` when it is whole. */
export function checkContribution(state: ReadonlyRun, header: ContributionHeader): Refusal | null {
  if (header.run !== state.run) return refuse("unknown-run", `This is run ${state.run}, not ${header.run}.`);
  if (state.volunteers.get(header.volunteer)?.blocked) return refuse("blocked", "This run's admin has blocked this key.");
  const { lease: id, attempt } = header;
  const lease = state.round?.leases.get(id);
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
  return checkContent(state, lease, header);
}

/** The lease is not of the open round: it is settled and done, too old, or it never was. */
function whyNoSuchLease(state: ReadonlyRun, header: ContributionHeader): Refusal {
  const settled = state.lastSettled.get(header.lease);
  if (settled !== undefined && isSameAnswer(settled, header))
    return refuse("duplicate", `This answer to lease ${header.lease} is part of version ${state.version}.`);
  const base = leaseBase(header.lease);
  if (base < state.version)
    return refuse("stale", `Lease ${header.lease} builds on version ${base}; the run is at version ${state.version}.`);
  if (state.phase === "stopped" || state.phase === "finished") return refuse("run-not-active", `The run is ${state.phase}.`);
  return refuse("unknown-lease", `There is no lease ${header.lease}.`);
}

const isSameAnswer = (
  settled: { readonly attempt: number; readonly volunteer: string; readonly sha256: string },
  header: ContributionHeader,
) => settled.volunteer === header.volunteer && settled.attempt === header.attempt && settled.sha256 === header.sha256;

function checkContent(state: ReadonlyRun, lease: ReadonlyLease, header: ContributionHeader): Refusal | null {
  if (header.base !== state.weights.sha256) return refuse("stale", "The update was computed on other weights than those of the lease.");
  const { codec } = state.spec.training;
  if (header.codec !== codec) return refuse("wrong-codec", `The run's codec is ${codec}, not ${header.codec}.`);
  if (header.samples !== lease.samples)
    return refuse("wrong-sample-count", `Lease ${lease.lease} has ${lease.samples} samples, the answer ${header.samples}.`);
  if (!Number.isFinite(f32FromHex(header.lossMean))) return refuse("not-finite", "The loss is not a finite number.");
  return null;
}

/** Refusals that say something about the answer itself: its assignment is over, so that the lease can be given to another. */
export const CONTENT_FAULTS: ReadonlySet<ErrorCode> = new Set(["stale", "wrong-codec", "wrong-sample-count", "not-finite"]);

export function decideContribution(state: ReadonlyRun, header: ContributionHeader, signature: Signature, norm: number): Decision {
  const refusal = Number.isFinite(norm)
    ? checkContribution(state, header)
    : refuse("not-finite", "The update's norm is not a finite number.");
  return refusal === null ? admit(state, header, signature, norm) : turnAway(state, header, refusal);
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

function admit(state: ReadonlyRun, header: ContributionHeader, signature: Signature, norm: number): Decision {
  const { volunteer, lease: id, attempt } = header;
  const round = state.round as NonNullable<typeof state.round>;
  const lease = round.leases.get(id) as ReadonlyLease;
  const version = round.base + 1;
  const rivals = liveEnds(lease, "settled-by-another", (assignment) => assignment.attempt !== attempt);
  const effects: Effect[] = [{ kind: "verdict", volunteer, lease: id, attempt, verdict: { ok: true, version } }, ...rivals.effects];
  const isLast = round.samplesIn + lease.samples === round.samples;
  if (isLast) effects.push({ kind: "close-round", round: closeRoundOf(state, round, { lease: id, header }) });
  return {
    events: [{ type: "contribution-admitted", header, signature, norm: f32ToHex(norm) }, ...rivals.events],
    effects,
    reason: isLast
      ? `Round ${version} has its whole batch; the next version is being made.`
      : `Admitted lease ${id} from ${shortKey(volunteer)}; ${round.samplesIn + lease.samples} of ${round.samples} samples of round ${version} are in.`,
  };
}
