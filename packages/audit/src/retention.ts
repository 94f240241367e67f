// Which contributions a run may have given up: a rule of its specification, so that no event is needed to tell a gap from a loss.
import { keptVersions, type RunSpec } from "@weft/protocol";

/** True where the contributions to `version` may be gone when `newest` is the newest version. */
export const mayBeGone = (spec: Pick<RunSpec, "retention">, version: number, newest: number): boolean =>
  version <= newest - keptVersions(spec);

/** For people, as the end of a sentence. */
export function retentionInWords(spec: Pick<RunSpec, "retention">): string {
  const kept = keptVersions(spec);
  if (kept === Number.POSITIVE_INFINITY) return "every contribution is kept";
  return kept === 0 ? "contributions are kept only until their version is made" : `contributions are kept for ${kept} versions`;
}
