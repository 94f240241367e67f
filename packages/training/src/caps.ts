// Who may hold how much: open assignments of one key, and what keys that have proved nothing may hold together.
// Knows nothing of addresses and rates, which the shell bounds.
import { MAX_OPEN_ASSIGNMENTS, type VolunteerId } from "@weft/protocol";
import type { Effect } from "./inputs.ts";
import { bookOf, isEstablished, liveAssignments, type ReadonlyRun } from "./state.ts";

type NoLease = Extract<Effect, { kind: "no-lease" }>;

const RETRY_MS = { joinFirst: 1_000, tooMany: 1_000, paused: 5_000, opening: 500, over: 60_000, blocked: 60_000 } as const;

/**
 * Leases of one round that a key may give back, or answer with what has to be refused, before it is slowed down. Pausing a few times
 * within a long round stays far below it.
 */
export const MAX_GIVE_BACKS = 16;

/** Null where the volunteer may be given work; otherwise why not, in words it can read. */
export function whyNoWorkFor(state: ReadonlyRun, volunteer: VolunteerId, nowMs: number): NoLease | null {
  const none = (code: NoLease["code"], reason: string, retryAfterMs: number): NoLease => ({
    kind: "no-lease",
    volunteer,
    code,
    reason,
    retryAfterMs,
  });
  const known = state.volunteers.get(volunteer);
  if (known?.blocked) return none("blocked", "This run's admin has blocked this key.", RETRY_MS.blocked);
  switch (state.phase) {
    case "paused":
      return none("run-not-active", "The run is paused; work goes on when it is resumed.", RETRY_MS.paused);
    case "stopped":
      return none("run-not-active", `The run was stopped at version ${state.version}.`, RETRY_MS.over);
    case "finished":
      return none("run-not-active", `The run is finished at version ${state.version}.`, RETRY_MS.over);
    case "running":
      break;
    default:
      state.phase satisfies never;
  }
  if (!known?.present) return none("no-work", "This key has not joined the run yet; say hello first.", RETRY_MS.joinFirst);
  if (state.round === null) return none("no-work", "The next round is about to open.", RETRY_MS.opening);
  if (known.open.length >= MAX_OPEN_ASSIGNMENTS)
    return none(
      "too-many-assignments",
      `This key already holds ${known.open.length} leases; finish or release one first.`,
      RETRY_MS.tooMany,
    );
  const back = state.round.givenBack.get(volunteer);
  if (back === undefined || back.times <= MAX_GIVE_BACKS) return null;
  // Not for good: it may be the only one here.
  const waitMs = back.lastAtMs + state.spec.round.deadlineMs - nowMs;
  if (waitMs <= 0) return null;
  const reason = `This key gave back ${back.times} leases of this round; it gets its next one ${Math.ceil(waitMs / 1000)} s from now.`;
  return none("no-work", reason, Math.min(waitMs, RETRY_MS.over));
}

/**
 * What keys without a settled lease may hold together while others have proved themselves: half of a version, or one micro-batch where that
 * is more; in `local-steps` half of a round's leases. Where a round has no such number nobody takes anything away from others.
 */
export const newcomersShare = (state: ReadonlyRun): number => {
  const { training } = state.spec;
  if (training.mode === "gradient") {
    const { samplesPerVersion, microBatch } = training;
    return Math.max(Math.floor(samplesPerVersion / 2), Math.min(microBatch, samplesPerVersion));
  }
  const { rounds } = training;
  return rounds.kind === "async" ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor(rounds.leases / 2));
};

/** What a lease counts of an allowance: its samples, or in `local-steps` itself. */
export const costOf = ({ spec }: Pick<ReadonlyRun, "spec">, { samples }: { readonly samples: number }): number =>
  spec.training.mode === "gradient" ? samples : 1;

/**
 * Samples (in `local-steps` leases) that may be given to this volunteer now. Infinite for established ones, and for all while none of those
 * is present: a first volunteer alone still trains.
 */
export function allowanceOf(state: ReadonlyRun, volunteer: VolunteerId): number {
  if (isEstablished(state.volunteers.get(volunteer)) || state.establishedPresent === 0) return Number.POSITIVE_INFINITY;
  return Math.max(0, newcomersShare(state) - heldByNewcomers(state));
}

/** Samples (in `local-steps` leases) of live assignments whose holders have not settled a lease; a lease held by two of them counts twice. */
export function heldByNewcomers(state: ReadonlyRun): number {
  let held = 0;
  const book = bookOf(state);
  for (const id of book?.out ?? []) {
    const lease = book?.leases.get(id);
    if (lease === undefined) continue;
    for (const { volunteer } of liveAssignments(lease)) if (!isEstablished(state.volunteers.get(volunteer))) held += costOf(state, lease);
  }
  return held;
}
