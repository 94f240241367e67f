import type { LeaseView, RoundView, VolunteerView } from "@weft/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openPick, rulerMark, type Stretch, spread, tintOf, wovenRow } from "./geometry.ts";
import { swatchPath, weaveOf } from "./weaves.ts";

const shares = (...pairs: [volunteer: number, samples: number][]) => pairs.map(([volunteer, samples]) => ({ volunteer, samples }));

describe("a row of the cloth", () => {
  it("joins the leases of one person into one stretch as wide as their share", () => {
    const row = wovenRow({ version: 7, shares: shares([1, 32], [0, 64], [1, 32]) }, -1);
    expect(row).toEqual({
      version: 7,
      undone: false,
      stretches: [
        { tint: tintOf(0), share: 0.5, done: 1 },
        { tint: tintOf(1), share: 0.5, done: 1 },
      ],
    });
  });
  it("puts the reader's own stretch first and dyes it madder", () => {
    const { stretches } = wovenRow({ version: 7, shares: shares([0, 30], [2, 10]) }, 2);
    expect(stretches.map((stretch) => stretch.tint)).toEqual([0, tintOf(0)]);
    expect(stretches[0]?.share).toBe(0.25);
  });
  it("is bare where nothing was counted", () => {
    expect(wovenRow({ version: 7, shares: [] }, 0).stretches).toEqual([]);
    expect(wovenRow({ version: 7, shares: [], undone: true }, 0).undone).toBe(true);
  });
  it("covers every warp end exactly once, whatever the shares", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 10_000 }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 400 }),
        (samples, ends) => {
          const row = wovenRow({ version: 1, shares: samples.map((value, volunteer) => ({ volunteer, samples: value })) }, 0);
          let at = 0;
          for (const [from, to] of spread(row.stretches, ends)) {
            expect(from).toBe(at);
            expect(to).toBeGreaterThanOrEqual(from);
            at = to;
          }
          expect(at).toBe(ends);
        },
      ),
    );
  });
});

describe("the open pick", () => {
  const lease = (volunteer: string | null, state: LeaseView["state"], progress: number): LeaseView => ({
    lease: "1.0",
    samples: 25,
    state,
    volunteer,
    progress,
    deadlineAtMs: null,
  });
  const round = (leases: readonly LeaseView[]): RoundView => ({
    version: 2,
    phase: "collecting",
    openedAtMs: 0,
    samplesIn: 0,
    samplesWanted: 100,
    leases,
    reason: "",
  });
  const volunteers = [{ volunteer: "a" }, { volunteer: "b" }] as VolunteerView[];

  it("shows leases that are in whole, those on their way by their progress, and nothing for those nobody has", () => {
    const pick = openPick(round([lease("a", "in", 1), lease("b", "out", 0.4), lease(null, "waiting", 0)]), volunteers, 1);
    expect(pick).toEqual([
      { tint: 0, share: 0.25, done: 0.4 },
      { tint: tintOf(0), share: 0.25, done: 1 },
    ] satisfies Stretch[]);
  });
  it("never shows a lease that is still out as woven", () => {
    expect(openPick(round([lease("a", "out", 1)]), volunteers, -1)[0]?.done).toBeLessThan(1);
  });
});

describe("the ruler", () => {
  it("marks checkpoints bold and names each eighth version elsewhere", () => {
    expect([400, 408, 405, 0].map((version) => rulerMark(version, 50))).toEqual(["checkpoint", "eighth", "tick", "eighth"]);
  });
  it("leaves a name out where a checkpoint's stands within two rows", () => {
    expect(rulerMark(352, 50)).toBe("tick");
    expect(rulerMark(248, 50)).toBe("tick");
  });
  it("does not lose the names when every version is a checkpoint", () => {
    expect(rulerMark(3, 1)).toBe("checkpoint");
  });
});

describe("a run's weave", () => {
  it("is the same wherever the run is shown", () => {
    expect(swatchPath(weaveOf("austen"), 12)).toBe(swatchPath(weaveOf("austen"), 12));
    expect(swatchPath(weaveOf("austen"), 12)).toMatch(/^(M\d+ \d+h1v1h-1z)+$/);
  });
});
