import type { LedgerEvent } from "@weft/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createLineage } from "./lineage.ts";

const created = (version: number | null) => ({ type: "run-created", origin: version === null ? null : { version } }) as LedgerEvent;
const published = (version: number) => ({ type: "version-published", version }) as LedgerEvent;
const rolledBack = (version: number, to: number) => ({ type: "run-rolled-back", version, to }) as LedgerEvent;

const present = (events: readonly LedgerEvent[], versions: number): number[] => {
  const lineage = createLineage();
  for (const event of events) lineage.apply(event);
  return Array.from({ length: versions }, (_, version) => version).filter((version) => lineage.has(version));
};

describe("the lineage of a run's weights", () => {
  it("is every version of a run that was never rolled back, from its first on", () => {
    expect(present([created(null), published(1), published(2)], 9)).toEqual([0, 1, 2]);
    expect(present([created(5), published(6)], 9)).toEqual([5, 6]);
    expect(present([created(null), { type: "run-paused", by: "a" }], 9)).toEqual([0]);
  });

  it("leaves out what a roll-back undid, and takes it in again where another goes back to it", () => {
    const events = [created(null), published(1), published(2), published(3), rolledBack(4, 1), published(5)];
    expect(present(events, 9)).toEqual([0, 1, 4, 5]);
    expect(present([...events, rolledBack(6, 3)], 9)).toEqual([0, 1, 2, 3, 6]);
    expect(present([...events, rolledBack(6, 3), rolledBack(7, 5)], 9)).toEqual([0, 1, 4, 5, 7]);
    expect(present([...events, rolledBack(6, 4)], 9)).toEqual([0, 1, 4, 6]);
    expect(present([...events, rolledBack(6, 0)], 9)).toEqual([0, 6]);
  });

  it("is what following each version to the one it was made of gives, after any history", () => {
    fc.assert(
      fc.property(fc.nat(3), fc.array(fc.option(fc.nat(30), { nil: null }), { maxLength: 30 }), (first, steps) => {
        const events: LedgerEvent[] = [created(first)];
        const parents = new Map<number, number>();
        let newest = first;
        for (const step of steps) {
          const parent = step === null || newest === first ? newest : first + (step % (newest - first));
          newest += 1;
          parents.set(newest, parent);
          events.push(parent === newest - 1 ? published(newest) : rolledBack(newest, parent));
        }
        const wanted: number[] = [];
        for (let version: number | undefined = newest; version !== undefined; version = parents.get(version)) wanted.unshift(version);
        expect(present(events, newest + 2)).toEqual(wanted);
      }),
    );
  });
});
