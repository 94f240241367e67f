import type { AssignmentSpan } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { endOf, lanesOf, thinned, windowOf } from "./spans.ts";

const span = (volunteer: string, fromMs: number, toMs: number | null): AssignmentSpan => ({
  lease: "1.0",
  volunteer,
  fromMs,
  toMs,
  end: null,
});

describe("the picture of leases", () => {
  it("reaches back several leases, within 30 s and 5 min", () => {
    expect(windowOf(1_000, 100_000)).toEqual({ fromMs: 70_000, toMs: 100_000 });
    expect(windowOf(600_000, 400_000)).toEqual({ fromMs: 100_000, toMs: 400_000 });
  });
  it("has a lane for each volunteer with a lease in sight, the busiest first", () => {
    const spans = [span("gone", 0, 10), span("a", 60, null), span("b", 55, 70), span("b", 75, 80)];
    expect(lanesOf(spans, { fromMs: 50, toMs: 100 }, 9).map((lane) => [lane.volunteer, lane.spans.length])).toEqual([
      ["b", 2],
      ["a", 1],
    ]);
    expect(lanesOf(spans, { fromMs: 50, toMs: 100 }, 1)).toHaveLength(1);
  });
  it("ends now for a running run and with the last lease for one that is over", () => {
    const spans = [span("a", 60, 90)];
    expect(endOf({ phase: "running", spans, versionPoints: [] }, 500)).toBe(500);
    expect(endOf({ phase: "finished", spans, versionPoints: [] }, 500)).toBe(90);
    expect(endOf({ phase: "finished", spans: [], versionPoints: [] }, 500)).toBe(500);
  });
  it("leaves out names of versions that would overlap", () => {
    expect(thinned([{ atMs: 0 }, { atMs: 5 }, { atMs: 12 }], 10)).toEqual([{ atMs: 0 }, { atMs: 12 }]);
  });
});
