// Folds what the observer namespace sends into one picture: a snapshot replaces it, a patch changes it. Pure; knows no socket.
import type { DetailAppend, Patch, RunDetail, RunSummary, Snapshot } from "@weft/protocol";

/** Points a page keeps of one list. A chart 1,000 px wide cannot show more; the coordinator thins its own lists likewise. */
const MAX_KEPT = 20_000;
/** Rows of the cloth: the places that a row names are kept by the coordinator for so many versions. */
const MAX_ROWS = 800;
/** Newest lines kept of log and rejections. */
const MAX_LINES = 500;

export interface Picture {
  /** The coordinator's clock when the newest message left it; 0 before the first. */
  readonly atMs: number;
  readonly volunteersNow: number;
  readonly runs: readonly RunSummary[];
  readonly detail: RunDetail | null;
}

export const NOTHING: Picture = { atMs: 0, volunteersNow: 0, runs: [], detail: null };

export const fromSnapshot = (snapshot: Snapshot): Picture => ({
  atMs: snapshot.atMs,
  volunteersNow: snapshot.volunteersNow,
  runs: snapshot.runs,
  detail: snapshot.detail,
});

/** Changed summaries take their old place; new ones come last. */
function mergeRuns(old: readonly RunSummary[], changed: readonly RunSummary[]): readonly RunSummary[] {
  if (changed.length === 0) return old;
  const byName = new Map(changed.map((run) => [run.run, run]));
  const kept = old.map((run) => byName.get(run.run) ?? run);
  const known = new Set(old.map((run) => run.run));
  return [...kept, ...changed.filter((run) => !known.has(run.run))];
}

const last = <T>(list: readonly T[]): T | undefined => list[list.length - 1];

/** Appends a tail; what is already there by `key` (a repeated patch after a reconnect) is not added again. */
function extend<T>(old: readonly T[], tail: readonly T[] | undefined, key: (item: T) => number, most: number): readonly T[] {
  if (tail === undefined || tail.length === 0) return old;
  const newest = last(old);
  const fresh = newest === undefined ? tail : tail.filter((item) => key(item) > key(newest));
  if (fresh.length === 0) return old;
  const all = [...old, ...fresh];
  return all.length > most ? all.slice(all.length - most) : all;
}

function append(detail: RunDetail, tails: DetailAppend): RunDetail {
  return {
    ...detail,
    versionPoints: extend(detail.versionPoints, tails.versionPoints, (point) => point.version, MAX_KEPT),
    evaluations: extend(detail.evaluations, tails.evaluations, (point) => point.version, MAX_KEPT),
    cloth: extend(detail.cloth, tails.cloth, (row) => row.version, MAX_ROWS),
    log: extend(detail.log, tails.log, (line) => line.seq, MAX_LINES),
    // Two rejections may fall in one millisecond, so these have no key: a tail is believed to be one.
    rejections: tails.rejections === undefined ? detail.rejections : [...detail.rejections, ...tails.rejections].slice(-MAX_LINES),
  };
}

/** A patch for a detail that is not held (the watched run was just changed) only moves the list. */
export function applyPatch(picture: Picture, patch: Patch): Picture {
  const runs = mergeRuns(picture.runs, patch.runs);
  let { detail } = picture;
  const other = patch.detail?.run !== undefined && detail !== null && patch.detail.run !== detail.run;
  if (detail !== null && !other) {
    if (patch.detail !== null) detail = { ...detail, ...patch.detail };
    if (patch.append !== null) detail = append(detail, patch.append);
  }
  return { atMs: Math.max(picture.atMs, patch.atMs), volunteersNow: patch.volunteersNow, runs, detail };
}
