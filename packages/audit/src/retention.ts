// Which contributions a run may have given up: a rule of its specification, so that no event is needed to tell a gap from a loss.
import { keptVersions, LedgerRecord, type RunSpec } from "@weft/protocol";
import type { RunSource } from "./run-source.ts";

/** True where the contributions to `version` may be gone when `newest` is the newest version. */
export const mayBeGone = (spec: Pick<RunSpec, "retention">, version: number, newest: number): boolean =>
  version <= newest - keptVersions(spec);

/** The newest version of which the records behind `seq` tell, or `newest`: a run that is read while it goes on gives contributions up meanwhile. */
export async function newestBehind(source: RunSource, seq: number, newest: number): Promise<number> {
  let version = newest;
  for await (const raw of source.records(seq + 1)) {
    const { data } = LedgerRecord.safeParse(raw);
    if (data?.event.type === "version-published" || data?.event.type === "run-rolled-back") version = data.event.version;
  }
  return version;
}

/** For people, as the end of a sentence. */
export function retentionInWords(spec: Pick<RunSpec, "retention">): string {
  const kept = keptVersions(spec);
  if (kept === Number.POSITIVE_INFINITY) return "every contribution is kept";
  return kept === 0 ? "contributions are kept only until their version is made" : `contributions are kept for ${kept} versions`;
}
