import type { Patch, RunDetail, RunSummary } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { applyPatch, fromSnapshot, NOTHING, type Picture } from "./merge.ts";

const summary = (run: string, version: number): RunSummary => ({ run, version, name: run }) as unknown as RunSummary;
const detail = (run: string): RunDetail =>
  ({
    run,
    version: 1,
    versionPoints: [{ version: 1, lossMean: 2 }],
    evaluations: [],
    cloth: [{ version: 1, shares: [] }],
    log: [{ seq: 4, atMs: 1, text: "a" }],
    rejections: [{ code: "stale", atMs: 1 }],
    rates: { samplesPerSecond: 1 },
  }) as unknown as RunDetail;
const patch = (changes: Partial<Patch>): Patch => ({ atMs: 10, volunteersNow: 3, runs: [], detail: null, append: null, ...changes });
const picture: Picture = fromSnapshot({ atMs: 5, volunteersNow: 2, runs: [summary("a", 1), summary("b", 2)], detail: detail("a") });

describe("what the observer sends", () => {
  it("changes a summary in its place and puts a new run last", () => {
    const next = applyPatch(picture, patch({ runs: [summary("c", 0), summary("a", 9)] }));
    expect(next.runs.map((run) => [run.run, run.version])).toEqual([
      ["a", 9],
      ["b", 2],
      ["c", 0],
    ]);
  });

  it("replaces the keys of the watched run that a patch names, and no other", () => {
    const next = applyPatch(picture, patch({ detail: { version: 2 } }));
    expect(next.detail?.version).toBe(2);
    expect(next.detail?.cloth).toBe(picture.detail?.cloth);
  });

  it("appends tails in order, and does not add a tail twice", () => {
    const tail = patch({
      append: {
        cloth: [{ version: 2, shares: [] }],
        versionPoints: [{ version: 2, atMs: 2, lossMean: 1, samplesSeen: 2, bytesIn: 3, norm: 1 }],
        log: [{ seq: 5, atMs: 2, text: "b" }],
      },
    });
    const once = applyPatch(picture, tail);
    const twice = applyPatch(once, tail);
    for (const next of [once, twice]) {
      expect(next.detail?.cloth.map((row) => row.version)).toEqual([1, 2]);
      expect(next.detail?.versionPoints.map((point) => point.version)).toEqual([1, 2]);
      expect(next.detail?.log.map((line) => line.seq)).toEqual([4, 5]);
    }
  });

  it("keeps both rejections of one millisecond", () => {
    const again = { atMs: 1, code: "stale", volunteer: "x", lease: null, detail: "" };
    expect(applyPatch(picture, patch({ append: { rejections: [again] } })).detail?.rejections).toHaveLength(2);
  });

  it("ignores a late patch of a run that is no longer watched", () => {
    expect(applyPatch(picture, patch({ detail: { run: "b", version: 7 }, append: { cloth: [{ version: 8, shares: [] }] } })).detail).toBe(
      picture.detail,
    );
  });

  it("keeps a list without a watched run", () => {
    const next = applyPatch(NOTHING, patch({ runs: [summary("a", 3)], detail: { version: 3 } }));
    expect(next.detail).toBeNull();
    expect(next.runs).toHaveLength(1);
  });
});
