// Power is lost, or the process killed, before every single operation of a scripted history. Whatever was acknowledged must be there after.
// And the suite proves its own sharpness: a disk that forgets one kind of sync is found out, each kind by a test of its own.
import { describe, expect, it, vi } from "vitest";
import { forgetfulDisk, type SyncCall } from "./test/forgetful-disk.ts";
import { countOperations, EXPLORATIONS, firstLoss } from "./test/power-cuts.ts";

// Hundreds of histories each: seconds on a machine that has other work too.
vi.setConfig({ testTimeout: 120_000 });

describe("after power is lost at any operation", () => {
  it.each(EXPLORATIONS)("nothing acknowledged is missing, order is kept, and work goes on (%s)", async (exploration) => {
    expect(await countOperations()).toBeGreaterThan(120);
    expect(await firstLoss(exploration)).toBeNull();
  });
});

const inFolder = (pattern: string): RegExp => new RegExp(`^weft/store/${pattern}$`);
const LEDGER = inFolder("ledger/[abc]/.*");
const CONTRIBUTIONS = inFolder("contributions/[abc]/.*");

/** Every kind of sync that the storage asks for. */
const KINDS: readonly (readonly [name: string, (call: SyncCall) => boolean])[] = [
  ["the bytes of records", ({ kind, path, earlier, made }) => kind === "file" && LEDGER.test(path) && (made || earlier > 0)],
  [
    "the bytes of records that a killed process wrote",
    ({ kind, path, earlier, made }) => kind === "file" && LEDGER.test(path) && !made && earlier === 0,
  ],
  ["the folder of a run's ledger", ({ kind, path }) => kind === "folder" && inFolder("ledger/[abc]").test(path)],
  ["the folder of all ledgers", ({ kind, path }) => kind === "folder" && path === "weft/store/ledger"],
  [
    "the beginning of a segment of contributions",
    ({ kind, path, earlier, made }) => kind === "file" && CONTRIBUTIONS.test(path) && made && earlier === 0,
  ],
  ["the bytes of contributions", ({ kind, path, earlier }) => kind === "file" && CONTRIBUTIONS.test(path) && earlier > 0],
  [
    "the bytes of contributions that a killed process wrote",
    ({ kind, path, earlier, made }) => kind === "file" && CONTRIBUTIONS.test(path) && !made && earlier === 0,
  ],
  ["the folder of a run's contributions", ({ kind, path }) => kind === "folder" && inFolder("contributions/[abc]").test(path)],
  ["the bytes of a contribution that is moved into the store", ({ kind, path }) => kind === "file" && path.startsWith("weft/uploads/")],
  ["the folder of all contributions", ({ kind, path }) => kind === "folder" && path === "weft/store/contributions"],
  ["the bytes of a blob", ({ kind, path }) => kind === "file" && path.startsWith("weft/store/blobs/")],
  ["the folder of a blob", ({ kind, path }) => kind === "folder" && inFolder("blobs/[0-9a-f]{2}/[0-9a-f]{2}").test(path)],
  ["the folder of a blob's folder", ({ kind, path }) => kind === "folder" && inFolder("blobs/[0-9a-f]{2}").test(path)],
  ["the folder of all blobs", ({ kind, path }) => kind === "folder" && path === "weft/store/blobs"],
  ["the bytes of a named file", ({ kind, path }) => kind === "file" && path.startsWith("weft/store/names/")],
  ["the folder of named files", ({ kind, path }) => kind === "folder" && path === "weft/store/names"],
  ["the bytes of the format", ({ kind, path }) => kind === "file" && path === "weft/store/format.draft"],
  ["the data folder's entries", ({ kind, path }) => kind === "folder" && path === "weft/store"],
  ["the data folder's own entry", ({ kind, path }) => kind === "folder" && path === "weft"],
  ["the entry of the folder above", ({ kind, path }) => kind === "folder" && path === "."],
];

describe("a disk that does not sync", () => {
  it.each(KINDS)("%s is found out", async (_, forgets) => {
    const losses = [];
    for (const exploration of EXPLORATIONS) {
      const loss = await firstLoss(exploration, (disk) => forgetfulDisk(disk, forgets));
      if (loss !== null) losses.push(loss);
      if (losses.length > 0) break;
    }
    expect(losses).not.toEqual([]);
  });

  it("anything else: there is no sync of another kind", async () => {
    const calls: SyncCall[] = [];
    await countOperations((disk) =>
      forgetfulDisk(
        disk,
        () => false,
        (call) => calls.push(call),
      ),
    );
    expect(calls.length).toBeGreaterThan(40);
    expect(calls.filter((call) => KINDS.filter(([, is]) => is(call)).length !== 1)).toEqual([]);
  });
});
