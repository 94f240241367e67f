// Curves as aligned columns: training and held-out loss across versions, samples or time; smoothing, ranges, table rows. Pure.
import type { EvaluationPoint, VersionPoint } from "@weft/protocol";

export type Across = "version" | "samples" | "time";
export type Column = readonly (number | null)[];

/** One version's values, and what was undone apart from what the present weights come from. */
export interface Curves {
  readonly x: readonly number[];
  readonly training: Column;
  readonly heldOut: Column;
  readonly accuracy: Column;
  readonly undone: Column;
  readonly undoneAccuracy: Column;
}
type Row = Record<Exclude<keyof Curves, "x">, number | null>;
const EMPTY: Row = { training: null, heldOut: null, accuracy: null, undone: null, undoneAccuracy: null };

/** x is the version, the samples seen, or seconds since 1970; a point that lacks a value is null. Sorted, each x once. */
export function joinCurves(points: readonly VersionPoint[], evaluations: readonly EvaluationPoint[], across: Across): Curves {
  const seen = new Map(points.map((point) => [point.version, point.samplesSeen]));
  const place = (point: { version: number; atMs: number; samplesSeen?: number }): number | null => {
    switch (across) {
      case "version":
        return point.version;
      case "samples":
        return point.samplesSeen ?? (point.version === 0 ? 0 : (seen.get(point.version) ?? null));
      case "time":
        return point.atMs / 1000;
      default:
        return across satisfies never;
    }
  };
  const rows = new Map<number, Row>();
  const row = (x: number): Row => {
    const found = rows.get(x) ?? { ...EMPTY };
    rows.set(x, found);
    return found;
  };
  for (const point of points) {
    const x = place(point);
    if (x === null) continue;
    if (point.undone === true) row(x).undone = point.lossMean;
    else row(x).training = point.lossMean;
  }
  for (const point of evaluations) {
    const x = place(point);
    if (x === null) continue;
    const held = row(x);
    if (point.undone === true) held.undoneAccuracy = point.accuracy;
    else {
      held.heldOut = point.lossMean;
      held.accuracy = point.accuracy;
    }
  }
  const x = [...rows.keys()].sort((a, b) => a - b);
  const column = (key: keyof Row): Column => x.map((at) => rows.get(at)?.[key] ?? null);
  return {
    x,
    training: column("training"),
    heldOut: column("heldOut"),
    accuracy: column("accuracy"),
    undone: column("undone"),
    undoneAccuracy: column("undoneAccuracy"),
  };
}

/** The evaluated points alone: a curve that has no value in between needs no empty places under the crosshair. */
export function evaluatedOnly(curves: Curves): Curves {
  const there = (_: unknown, index: number): boolean => curves.heldOut[index] !== null || curves.undoneAccuracy[index] !== null;
  return {
    x: curves.x.filter(there),
    training: curves.training.filter(there),
    heldOut: curves.heldOut.filter(there),
    accuracy: curves.accuracy.filter(there),
    undone: curves.undone.filter(there),
    undoneAccuracy: curves.undoneAccuracy.filter(there),
  };
}

/**
 * Exponential moving average whose first values are not pulled towards zero: the sum of weights is divided out.
 * `weight` 0 changes nothing; nulls stay null and do not count.
 */
export function smooth(column: Column, weight: number): Column {
  let sum = 0;
  let norm = 0;
  return column.map((value) => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    norm = weight * norm + (1 - weight);
    return sum / norm;
  });
}

/**
 * Range of a loss axis: the steep first tenth would press the rest flat, so the top is what is reached after it
 * (short runs are shown whole). Null where there is nothing to show.
 */
export function lossRange(columns: readonly Column[]): readonly [low: number, high: number] | null {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const column of columns) {
    const from = column.length > 40 ? Math.floor(column.length * 0.04) : 0;
    column.forEach((value, index) => {
      if (value === null || !Number.isFinite(value)) return;
      low = Math.min(low, value);
      if (index >= from) high = Math.max(high, value);
    });
  }
  if (!Number.isFinite(low)) return null;
  if (!Number.isFinite(high)) high = low;
  const margin = Math.max(high * 0.02, (high - low) * 0.06, 1e-3);
  return [Math.max(0, low - margin), high + margin];
}

export const lastOf = (column: Column): number | null => {
  for (let index = column.length - 1; index >= 0; index--) {
    const value = column[index];
    if (value !== null && value !== undefined) return value;
  }
  return null;
};
export const firstOf = (column: Column): number | null => column.find((value) => value !== null) ?? null;

/** About `most` row numbers spread evenly, the last always among them. */
export function tableRows(length: number, most = 12): readonly number[] {
  if (length === 0) return [];
  const every = Math.max(1, Math.ceil(length / most));
  const rows: number[] = [];
  for (let index = 0; index < length; index += every) rows.push(index);
  if (rows[rows.length - 1] !== length - 1) rows.push(length - 1);
  return rows;
}

/** Samples a second of each of the last rounds, from the times at which versions were made. */
export function throughput(
  points: readonly VersionPoint[],
  rounds: number,
): readonly { readonly version: number; readonly perSecond: number }[] {
  const tail = points.slice(-(rounds + 1));
  return tail.slice(1).flatMap((point, index) => {
    const before = tail[index];
    // After going back fewer samples lie behind a version than behind the one before it.
    if (before === undefined || point.atMs <= before.atMs || point.samplesSeen <= before.samplesSeen) return [];
    return [{ version: point.version, perSecond: ((point.samplesSeen - before.samplesSeen) * 1000) / (point.atMs - before.atMs) }];
  });
}
