// What pages say of where a run comes from, of going back, and of what is kept: sentences out of views. Pure.
import {
  keptVersions,
  type LeaseView,
  type RollBackView,
  type RunDetail,
  type RunOrigin,
  type RunSpec,
  type RunSummary,
} from "@weft/protocol";
import { count, moment, plural } from "./figures.ts";
import { people } from "./run-words.ts";

/** "version 12 of 240"; where the run went back or began elsewhere than at 0, also how many rounds lie behind its weights. */
export const progressWords = ({ version, steps, versions }: Pick<RunSummary, "version" | "steps" | "versions">): string =>
  version === steps
    ? `version ${count(version)} of ${count(versions)}`
    : `version ${count(version)}, round ${count(steps)} of ${count(versions)}`;

export const originWords = ({ change, version }: Pick<RunOrigin, "change" | "version">): string =>
  `${change === "resume" ? "resumed from" : "forked from"} v${count(version)} of`;

/** What of the open round nobody would count if it ended now. */
export function openRound(leases: readonly LeaseView[]): {
  readonly contributions: number;
  readonly samples: number;
  readonly people: number;
} {
  const isIn = leases.filter(({ state }) => state === "in");
  return {
    contributions: isIn.length,
    samples: isIn.reduce((sum, { samples }) => sum + samples, 0),
    people: new Set(isIn.map(({ volunteer }) => volunteer)).size,
  };
}

export function abandonedWords(leases: readonly LeaseView[]): string {
  const open = openRound(leases);
  if (open.contributions === 0) return "No contribution of the open round is in yet, so none is given up.";
  return `${plural(open.contributions, "contribution")} of the open round (${plural(open.samples, "sample")} by ${people(open.people)}) ${
    open.contributions === 1 ? "is" : "are"
  } named in the ledger as given up; no version will count ${open.contributions === 1 ? "it" : "them"}.`;
}

/** What rolling back to `to` does, in one sentence. */
export function rollBackWords({ name, version }: Pick<RunDetail, "name" | "version">, to: number): string {
  const undone =
    to + 1 === version
      ? `version ${count(version)} stays in the ledger, marked as undone`
      : `versions ${count(to + 1)} to ${count(version)} stay in the ledger, marked as undone`;
  return `Version ${count(version + 1)} of ${name} gets the weights and the optimiser state of version ${count(to)}, and training goes on from there; ${undone}, and nothing is deleted.`;
}

/** What a roll-back that stands has done. */
export function rolledBackWords({ to, version, atMs }: RollBackView, nowMs: number): string {
  const undone =
    version - to === 2 ? `version ${count(to + 1)} is undone` : `versions ${count(to + 1)} to ${count(version - 1)} are undone`;
  return `Rolled back to v${count(to)} (${moment(atMs, nowMs)}): ${undone}`;
}

/** How long contributions are kept, and what follows from it. */
export function retentionWords(spec: Pick<RunSpec, "retention">): { readonly kept: string; readonly provable: string } {
  const versions = keptVersions(spec);
  if (versions === 0)
    return {
      kept: "none, once their version is on disk",
      provable: "The contributions themselves are not kept, so the weights cannot be computed again from them.",
    };
  if (versions === Number.POSITIVE_INFINITY)
    return { kept: "all, for good", provable: "All contributions are kept: each version can be computed again from them." };
  return {
    kept: `of the newest ${plural(versions, "version")}`,
    provable: `Contributions of the newest ${plural(versions, "version")} are kept: so many can be computed again.`,
  };
}
