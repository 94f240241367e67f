// When a round of local steps closes, and what each of its contributions weighs. Rules only: knows no events and no people.
import { DEFAULT_QUORUM_SHARE, type RunSpec, type RunSpecOf } from "@weft/protocol";

type Rounds = RunSpecOf<"local-steps">["training"]["rounds"];

export interface RoundFacts {
  /** Contributions that are in. */
  readonly in: number;
  /** Volunteers who are here now. */
  readonly present: number;
  readonly openedAtMs: number;
  /** Since when its quorum is in; null where it is not. */
  readonly quorumAtMs: number | null;
}

/** A product that is a whole number but for the last bit is that number. */
const ceilOf = (value: number): number => Math.ceil(value - 1e-9);

/** Contributions with which the round closes at once. A buffer of fewer than a quarter of who takes part diverges, so it is never smaller. */
export function contributionsWanted(rounds: Rounds, present: number): number {
  if (rounds.kind !== "async") return rounds.leases;
  return Math.max(1, Math.ceil(present / 4), rounds.buffer === "auto" ? 0 : rounds.buffer);
}

/** Contributions after which a round waits only for a grace; null where its rule knows none. */
export const quorumOf = (rounds: Rounds): number | null =>
  rounds.kind === "quorum" ? Math.max(1, ceilOf((rounds.share ?? DEFAULT_QUORUM_SHARE) * rounds.leases)) : null;

export function fillsQuorum({ training }: RunSpec, contributions: number): boolean {
  const quorum = training.mode === "local-steps" ? quorumOf(training.rounds) : null;
  return quorum !== null && contributions >= quorum;
}

export const graceMs = ({ round }: Pick<RunSpec, "round">): number => round.leaseMs / 4;

/** Contributions with which a round closes at its deadline. */
export const leastAtDeadline = (present: number): number => Math.max(1, Math.ceil(present / 8));

/** When the round closes if nothing else comes: a time that is past means now. Null: not before more is in. */
export function closesAtMs({ training: { rounds }, round }: RunSpecOf<"local-steps">, facts: RoundFacts): number | null {
  if (facts.in >= contributionsWanted(rounds, facts.present)) return facts.openedAtMs;
  if (rounds.kind !== "quorum") return null;
  if (facts.quorumAtMs !== null) return facts.quorumAtMs + graceMs({ round });
  return facts.in >= leastAtDeadline(facts.present) ? facts.openedAtMs + round.deadlineMs : null;
}

/** By samples / sqrt(1 + staleness), as parts of 1, exact f32 (FedBuff, arXiv 2106.06639). */
export function contributionWeights(contributions: readonly { readonly samples: number; readonly staleness: number }[]): number[] {
  const weights = contributions.map(({ samples, staleness }) => samples / Math.sqrt(1 + staleness));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => Math.fround(weight / sum));
}
