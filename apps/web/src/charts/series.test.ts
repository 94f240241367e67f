import type { EvaluationPoint, VersionPoint } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { evaluatedOnly, joinCurves, lastOf, lossRange, smooth, tableRows, throughput } from "./series.ts";

const point = (version: number, atMs: number, lossMean: number): VersionPoint => ({
  version,
  atMs,
  lossMean,
  samplesSeen: version * 100,
  bytesIn: 1,
  norm: 1,
});
const evaluation = (version: number, atMs: number, lossMean: number): EvaluationPoint => ({
  version,
  atMs,
  lossMean,
  accuracy: version / 10,
});

describe("curves", () => {
  const points = [point(1, 1_000, 3), point(2, 3_000, 2)];
  const evaluations = [evaluation(0, 500, 4), evaluation(2, 3_500, 2.5)];

  it("align training and held-out points by version", () => {
    expect(joinCurves(points, evaluations, "version")).toEqual({
      x: [0, 1, 2],
      training: [null, 3, 2],
      heldOut: [4, null, 2.5],
      accuracy: [0, null, 0.2],
      undone: [null, null, null],
      undoneAccuracy: [null, null, null],
    });
  });
  it("place an evaluation at the samples its version had seen", () => {
    expect(joinCurves(points, evaluations, "samples").x).toEqual([0, 100, 200]);
  });
  it("keep what was undone apart", () => {
    const back = [point(1, 1_000, 3), { ...point(2, 2_000, 9), undone: true as const }, point(4, 4_000, 2)];
    const curves = joinCurves(back, [{ ...evaluation(2, 2_500, 8), undone: true }, evaluation(4, 4_500, 2.5)], "version");
    expect(curves).toEqual({
      x: [1, 2, 4],
      training: [3, null, 2],
      heldOut: [null, null, 2.5],
      accuracy: [null, null, 0.4],
      undone: [null, 9, null],
      undoneAccuracy: [null, 0.2, null],
    });
    expect(evaluatedOnly(curves).x).toEqual([2, 4]);
  });
  it("can be cut down to the evaluated points", () => {
    expect(evaluatedOnly(joinCurves(points, evaluations, "version"))).toEqual({
      x: [0, 2],
      training: [null, 2],
      heldOut: [4, 2.5],
      accuracy: [0, 0.2],
      undone: [null, null],
      undoneAccuracy: [null, null],
    });
  });
  it("keep each point's own time", () => {
    expect(joinCurves(points, evaluations, "time").x).toEqual([0.5, 1, 3, 3.5]);
  });
});

describe("smoothing", () => {
  it("leaves a level curve level from the first value on, and skips gaps", () => {
    const smoothed = smooth([2, null, 2, 2], 0.9);
    expect(smoothed[1]).toBeNull();
    for (const value of [smoothed[0], smoothed[2], smoothed[3]]) expect(value).toBeCloseTo(2, 12);
  });
  it("does nothing at weight 0", () => {
    expect(smooth([1, 5, 3], 0)).toEqual([1, 5, 3]);
  });
});

describe("the range of a loss axis", () => {
  it("does not let the steep beginning of a long run press the rest flat", () => {
    const curve = Array.from({ length: 200 }, (_, i) => (i === 0 ? 100 : 2 - i / 200));
    const range = lossRange([curve]);
    expect(range?.[1]).toBeLessThan(3);
    expect(range?.[0]).toBeLessThanOrEqual(1.01);
  });
  it("shows a short run whole and nothing as null", () => {
    expect(lossRange([[4, 2]])?.[1]).toBeGreaterThan(4);
    expect(lossRange([[null]])).toBeNull();
  });
});

it("the table behind a curve has few rows and always the last", () => {
  expect(tableRows(3)).toEqual([0, 1, 2]);
  const rows = tableRows(412);
  expect(rows.length).toBeLessThanOrEqual(13);
  expect(rows[rows.length - 1]).toBe(411);
});
it("throughput is samples over the time between two versions", () => {
  expect(throughput([point(1, 1_000, 1), point(2, 3_000, 1), point(3, 3_000, 1)], 60)).toEqual([{ version: 2, perSecond: 50 }]);
});
it("the last value of a column is the last that is there", () => {
  expect(lastOf([1, 2, null])).toBe(2);
  expect(lastOf([null])).toBeNull();
});
