// Fixed places in a list of bounded length, which other lists point to by number. A place is given to another only when nothing that
// is still shown can point to it. Knows nothing of what sits there but how much it matters.

/** Rows of the cloth that are kept: the newest versions. */
export const MAX_CLOTH_ROWS = 400;
/** Places; with names and devices of full length 400 of them are about 200 KB of JSON. */
export const MAX_PLACES = 400;
/** Versions without a contribution after which a place may be given away: twice the cloth, so that a page that is behind is right too. */
const IDLE_VERSIONS = 2 * MAX_CLOTH_ROWS;

export interface Standing {
  /** Whoever keeps is not asked to give its place away. */
  readonly keeps: boolean;
  /** Base version of the newest contribution. */
  readonly lastBase: number;
  readonly samples: number;
}
export interface Places<T> {
  /** Gives a place to whoever has none: a free one, or that of the smallest contributor who has been away for long; else none. */
  seat(sitter: T, version: number): void;
  placeOf(sitter: T): number | null;
  all(): readonly T[];
}

export function createPlaces<T>(standingOf: (sitter: T) => Standing): Places<T> {
  const sitters: T[] = [];
  const placeOf = new Map<T, number>();

  const smallestAway = (version: number): number | null => {
    let found: { readonly place: number; readonly samples: number } | null = null;
    for (const [place, sitter] of sitters.entries()) {
      const { keeps, lastBase, samples } = standingOf(sitter);
      if (keeps || version - lastBase <= IDLE_VERSIONS) continue;
      if (found === null || samples < found.samples) found = { place, samples };
    }
    return found?.place ?? null;
  };

  return {
    seat(sitter, version) {
      if (placeOf.has(sitter)) return;
      const place = sitters.length < MAX_PLACES ? sitters.length : smallestAway(version);
      if (place === null) return;
      const before = sitters[place];
      if (before !== undefined) placeOf.delete(before);
      sitters[place] = sitter;
      placeOf.set(sitter, place);
    },
    placeOf: (sitter) => placeOf.get(sitter) ?? null,
    all: () => sitters,
  };
}
