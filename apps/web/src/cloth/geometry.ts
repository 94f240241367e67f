// What is drawn where on the cloth: rows into stretches, stretches onto warp ends, marks on the ruler. Pure; knows no canvas.
import type { ClothRow, RoundView, VolunteerView } from "@weft/protocol";

/** Distance of the warp ends and height of a row, in CSS pixels. */
export const PITCH = 6;
export const ROW = 6;
/** Gap between the fell, where woven cloth ends, and the pick that is being laid in. */
export const GAP = 9;

/** 0 is the reader's own madder; 1 to 6 are dips of the indigo vat. */
export type Tint = 0 | 1 | 2 | 3 | 4 | 5 | 6;
const TINTS: readonly Tint[] = [3, 1, 5, 2, 6, 4, 2, 5, 1, 4, 6, 3];
/** Neighbours in order of joining differ; a volunteer keeps its tint for the whole run. */
export const tintOf = (volunteer: number): Tint => TINTS[volunteer % TINTS.length] ?? 3;

/** One stretch: its share of the row, and how much of it is there (1: woven; below: the thread is on its way). */
export interface Stretch {
  readonly tint: Tint;
  readonly share: number;
  readonly done: number;
}
export interface WovenRow {
  readonly version: number;
  readonly stretches: readonly Stretch[];
  /** The run was rolled back past this version. */
  readonly undone: boolean;
}

/** Own thread first, where it enters the cloth; then in order of joining, so that a person's stretches lie under one another. */
const byPerson = (mine: number) => (a: number, b: number) => (a === mine ? -1 : 0) - (b === mine ? -1 : 0) || a - b;

/** A version's row: one stretch a person, as wide as their share of its samples. `mine`: the reader's index, or -1. */
export function wovenRow(row: ClothRow, mine: number): WovenRow {
  const samples = new Map<number, number>();
  for (const share of row.shares) samples.set(share.volunteer, (samples.get(share.volunteer) ?? 0) + share.samples);
  const all = [...samples.values()].reduce((sum, value) => sum + value, 0);
  const people = [...samples.keys()].sort(byPerson(mine));
  return {
    version: row.version,
    undone: row.undone === true,
    stretches:
      all === 0
        ? []
        : people.map((person) => ({ tint: person === mine ? 0 : tintOf(person), share: (samples.get(person) ?? 0) / all, done: 1 })),
  };
}

/** The pick of the round that is open: leases that are in, those on their way, and bare warp for what nobody has taken yet. */
export function openPick(round: RoundView, volunteers: readonly VolunteerView[], mine: number): readonly Stretch[] {
  const indexOf = new Map(volunteers.map((view, index) => [view.volunteer, index]));
  const wanted = Math.max(
    1,
    round.samplesWanted,
    round.leases.reduce((sum, lease) => sum + lease.samples, 0),
  );
  const taken = round.leases
    .filter((lease) => lease.state !== "waiting" && lease.volunteer !== null)
    .map((lease) => ({ lease, person: indexOf.get(lease.volunteer ?? "") ?? volunteers.length }));
  const order = byPerson(mine);
  taken.sort((a, b) => order(a.person, b.person));
  return taken.map(({ lease, person }) => ({
    tint: person === mine ? 0 : tintOf(person),
    share: lease.samples / wanted,
    done: lease.state === "in" ? 1 : Math.min(0.999, Math.max(0, lease.progress)),
  }));
}

/** Stretches as half-open ranges of warp ends: neighbours share an edge, nothing overlaps, rounding never adds up. */
export function spread(stretches: readonly Stretch[], ends: number): readonly (readonly [from: number, to: number, stretch: Stretch])[] {
  let sum = 0;
  return stretches.map((stretch) => {
    const from = Math.round(sum * ends);
    sum += stretch.share;
    return [from, Math.min(ends, Math.round(sum * ends)), stretch];
  });
}

export type RulerMark = "tick" | "eighth" | "checkpoint";
/** Each eighth version is named and each checkpoint bold; a name too near a checkpoint's gives way. */
export function rulerMark(version: number, checkpointEvery: number): RulerMark {
  if (version > 0 && version % checkpointEvery === 0) return "checkpoint";
  if (version % 8 !== 0) return "tick";
  const off = version % checkpointEvery;
  const near = Math.min(off, checkpointEvery - off);
  const nearest = off <= checkpointEvery - off ? version - off : version + checkpointEvery - off;
  return near <= 2 && nearest > 0 ? "tick" : "eighth";
}
