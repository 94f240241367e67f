// Which versions the present weights come from. A roll-back to V makes a new version out of V's weights: the versions between the two are
// undone from then on, until another roll-back goes back to one of them. Knows only numbers.
import type { LedgerEvent } from "@weft/protocol";

export interface Lineage {
  /** Other events than those that make versions leave it as it is. */
  apply(event: LedgerEvent): void;
  /** Whether the present weights come from this version; true for the present one. */
  has(version: number): boolean;
}

export function createLineage(): Lineage {
  /** Stretches of versions, each made from the one before, oldest first; the last one ends at the present version. */
  let stretches: readonly Stretch[] = [];
  /** For each roll-back the lineage of the version it went back to, so that one can go back to an undone version too. */
  const before: { readonly version: number; readonly stretches: readonly Stretch[] }[] = [];

  const upTo = (version: number): Stretch[] => {
    // As it was when that version was the newest: before the first roll-back that came after it.
    const found = before.find((rollBack) => rollBack.version > version)?.stretches ?? stretches;
    return found.filter(({ first }) => first <= version).map(({ first, last }) => ({ first, last: Math.min(last, version) }));
  };

  return {
    apply(event) {
      if (event.type === "run-created") {
        const version = event.origin?.version ?? 0;
        stretches = [{ first: version, last: version }];
      } else if (event.type === "version-published") {
        const { first = event.version } = stretches.at(-1) ?? {};
        stretches = [...stretches.slice(0, -1), { first, last: event.version }];
      } else if (event.type === "run-rolled-back") {
        const back = upTo(event.to);
        before.push({ version: event.version, stretches });
        stretches = [...back, { first: event.version, last: event.version }];
      }
    },
    has: (version) => stretches.some(({ first, last }) => first <= version && version <= last),
  };
}

interface Stretch {
  readonly first: number;
  readonly last: number;
}
