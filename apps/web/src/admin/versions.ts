// Which versions of a run are offered for going back and going on: the first, the newest, those with a checkpoint or an evaluation, and
// those made by rolling back. Pure.
import type { RunDetail } from "@weft/protocol";

export interface VersionRow {
  readonly version: number;
  readonly atMs: number;
  readonly lossMean: number | null;
  readonly heldOutLoss: number | null;
  readonly accuracy: number | null;
  readonly checkpoint: boolean;
  /** Made by rolling back to this version; null: by a round, or the first. */
  readonly backTo: number | null;
  readonly undone: boolean;
}
type Source = Pick<RunDetail, "version" | "createdAtMs" | "origin" | "versionPoints" | "evaluations" | "checkpoints" | "rollBacks">;

/**
 * Newest first, at most `most`: the newest, the first and the `wanted` one are always among them, checkpoints go before versions that were
 * only evaluated.
 */
export function offeredVersions(detail: Source, most: number, wanted: number | null = null): readonly VersionRow[] {
  const first = detail.origin?.version ?? 0;
  const points = new Map(detail.versionPoints.map((point) => [point.version, point]));
  const evaluated = new Map(detail.evaluations.map((point) => [point.version, point]));
  const checkpoints = new Map(detail.checkpoints.map((view) => [view.version, view]));
  const back = new Map(detail.rollBacks.map((view) => [view.version, view]));
  const row = (version: number): VersionRow => {
    const point = points.get(version);
    const evaluation = evaluated.get(version);
    const checkpoint = checkpoints.get(version);
    const rollBack = back.get(version);
    return {
      version,
      atMs: point?.atMs ?? rollBack?.atMs ?? checkpoint?.atMs ?? evaluation?.atMs ?? detail.createdAtMs,
      lossMean: point?.lossMean ?? null,
      heldOutLoss: evaluation?.lossMean ?? checkpoint?.heldOutLoss ?? null,
      accuracy: evaluation?.accuracy ?? checkpoint?.accuracy ?? null,
      checkpoint: checkpoint !== undefined,
      backTo: rollBack?.to ?? null,
      undone: [point, evaluation, checkpoint, rollBack].some((view) => view?.undone === true),
    };
  };
  const chosen = new Set([detail.version, first, ...(wanted === null ? [] : [wanted])]);
  for (const version of [...newestFirst([...checkpoints.keys(), ...back.keys()]), ...newestFirst(evaluated.keys())])
    if (chosen.size < most) chosen.add(version);
  return newestFirst(chosen).map(row);
}

const newestFirst = (versions: Iterable<number>): number[] => [...versions].sort((a, b) => b - a);

/** The newest checkpoint that is part of the lineage and older than the newest version, or else the first version. */
export function suggestedVersion(rows: readonly VersionRow[], newest: number): number {
  const good = rows.find((row) => row.checkpoint && !row.undone && row.version < newest);
  return good?.version ?? rows[rows.length - 1]?.version ?? newest;
}
