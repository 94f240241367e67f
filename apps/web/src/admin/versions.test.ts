import type { CheckpointView, RunDetail } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { offeredVersions, suggestedVersion } from "./versions.ts";

const BLOB = { sha256: "0".repeat(64), sizeBytes: 1 };
const checkpoint = (version: number): CheckpointView => ({
  version,
  atMs: version * 1_000,
  archive: BLOB,
  weights: BLOB,
  samplesSeen: version * 10,
  heldOutLoss: 1,
  accuracy: null,
});
const detail = (parts: Partial<RunDetail>) =>
  ({
    version: 12,
    createdAtMs: 5,
    origin: null,
    versionPoints: Array.from({ length: 12 }, (_, index) => ({
      version: index + 1,
      atMs: (index + 1) * 1_000,
      lossMean: 1 / (index + 1),
      samplesSeen: 10,
      bytesIn: 1,
      norm: 1,
    })),
    evaluations: [2, 4, 6, 8, 10, 12].map((version) => ({ version, atMs: version * 1_000, lossMean: 0.5, accuracy: 0.9 })),
    checkpoints: [checkpoint(4), checkpoint(8)],
    rollBacks: [],
    ...parts,
  }) as Parameters<typeof offeredVersions>[0];

describe("the versions that are offered", () => {
  it("are the first, the newest, checkpoints and evaluated ones, newest first", () => {
    const rows = offeredVersions(detail({}), 12);
    expect(rows.map(({ version }) => version)).toEqual([12, 10, 8, 6, 4, 2, 0]);
    expect(rows[2]).toEqual({
      version: 8,
      atMs: 8_000,
      lossMean: 1 / 8,
      heldOutLoss: 0.5,
      accuracy: 0.9,
      checkpoint: true,
      backTo: null,
      undone: false,
    });
    expect(rows[6]).toMatchObject({ version: 0, atMs: 5, lossMean: null });
  });
  it("keep the newest, the first and the checkpoints where there is no room for all", () => {
    expect(offeredVersions(detail({}), 4).map(({ version }) => version)).toEqual([12, 8, 4, 0]);
    expect(offeredVersions(detail({}), 5).map(({ version }) => version)).toEqual([12, 10, 8, 4, 0]);
    expect(offeredVersions(detail({}), 1).map(({ version }) => version)).toEqual([12, 0]);
  });
  it("hold whichever is wanted", () => {
    const rows = offeredVersions(detail({}), 4, 7);
    expect(rows.map(({ version }) => version)).toEqual([12, 8, 7, 0]);
    expect(rows[2]).toMatchObject({ lossMean: 1 / 7, heldOutLoss: null, checkpoint: false });
  });
  it("begin with the origin's version where a run goes on from another", () => {
    const origin = { version: 7 } as RunDetail["origin"];
    expect(offeredVersions(detail({ origin, checkpoints: [], evaluations: [] }), 3).map(({ version }) => version)).toEqual([12, 7]);
  });
  it("are marked where the run was rolled back past them, those made by rolling back too", () => {
    const back = (version: number, to: number, undone?: true) => ({ version, to, atMs: 1, by: "Ada", ...(undone ? { undone } : {}) });
    const source = detail({
      version: 15,
      checkpoints: [checkpoint(4), { ...checkpoint(8), undone: true }],
      rollBacks: [back(13, 2, true), back(14, 4)],
    });
    const rows = offeredVersions(source, 6);
    expect(rows.map(({ version, backTo, undone }) => [version, backTo, undone])).toEqual([
      [15, null, false],
      [14, 4, false],
      [13, 2, true],
      [8, null, true],
      [4, null, false],
      [0, null, false],
    ]);
    expect(suggestedVersion(rows, 15)).toBe(4);
  });
  it("suggest the newest checkpoint of the lineage that is not the newest version", () => {
    expect(suggestedVersion(offeredVersions(detail({}), 12), 12)).toBe(8);
    expect(suggestedVersion(offeredVersions(detail({ version: 8 }), 12), 8)).toBe(4);
    expect(suggestedVersion(offeredVersions(detail({ checkpoints: [] }), 12), 12)).toBe(0);
  });
});
