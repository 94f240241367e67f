// Which codec an assignment asks for, where the specification leaves it open or names one that is not for everybody. Decided once: the name
// stands in the ledger. Knows no codec's inside.
import type { CodecName } from "@weft/protocol";
import { contributionsWanted } from "./rounds.ts";
import { hasLocalSteps, type ReadonlyRound, type ReadonlyRun } from "./state.ts";

/** What error feedback keeps back belongs to somebody who stays: settled leases of this run after which a volunteer counts as that. */
export const LASTING_LEASES = 5;

/** The noise of an unbiased codec falls with the number of updates that are averaged (docs/algorithms.md). */
export const codecForMany = (contributions: number): CodecName => (contributions >= 8 ? "ternary" : contributions >= 3 ? "int4" : "int8");

/** `isNew`: it is about to be cut. */
export function codecFor(
  state: ReadonlyRun,
  round: ReadonlyRound,
  volunteer: string,
  lease: { readonly samples: number; readonly isNew: boolean },
): CodecName {
  const { codec } = state.spec.training;
  const lasts = (state.volunteers.get(volunteer)?.leasesSettled ?? 0) >= LASTING_LEASES;
  if (codec !== "auto" && (lasts || (codec !== "sign" && codec !== "topk"))) return codec;
  return codecForMany(expectedContributions(state, round, lease));
}

function expectedContributions(
  state: ReadonlyRun,
  round: ReadonlyRound,
  { samples, isNew }: { readonly samples: number; readonly isNew: boolean },
): number {
  if (hasLocalSteps(state)) return contributionsWanted(state.spec.training.rounds, state.present);
  // As many as there are, and the rest of the batch in leases like this one.
  const left = round.samples - round.cut - (isNew ? samples : 0);
  return round.leases.size + (isNew ? 1 : 0) + Math.ceil(left / samples);
}
