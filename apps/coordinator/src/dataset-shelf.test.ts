// How data sets here are dealt out to clients: as the run's first record will name them.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { datasetCatalog } from "@weft/datasets";
import type { RunSpec } from "@weft/protocol";
import { folderFiles, memoryStorage } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openShelf } from "./dataset-shelf.ts";

const EMBEDDED = new URL("../../../packages/datasets/embedded/", import.meta.url);
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-shelf-"));
});
afterAll(() => rm(folder, { recursive: true }));

const specOf = (clients: number, partition: object, kind: "mlp" | "gpt" = "mlp"): RunSpec =>
  ({ seed: 3, model: { kind, context: 64 }, sampler: { kind: "clients", clients, perRound: 2, epochs: 1, partition } }) as RunSpec;

it("deals the digits out to clients so that none is left over, and says why where it cannot be done", async () => {
  const { blobs } = memoryStorage();
  const shelf = await openShelf(folder, blobs, async () => {
    const catalog = datasetCatalog(folderFiles(nodeDisk(), join(folder, "datasets")), blobs);
    await catalog.addEmbedded(async (path) => new Uint8Array(await readFile(new URL(path, EMBEDDED))));
  });
  const found = await shelf.manifest("digits");
  const manifest = found?.manifest ?? expect.fail();
  const samples = manifest.train.reduce((sum, shard) => sum + shard.samples, 0);
  for (const partition of [{ kind: "iid" }, { kind: "label-shards", shardsPerClient: 2 }, { kind: "dirichlet", alpha: 0.5 }]) {
    const dealt = await shelf.clients?.(manifest, specOf(20, partition));
    const sizes = dealt?.ok ? dealt.value : expect.fail();
    expect(sizes.length).toBe(20);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(samples);
  }
  expect(await shelf.clients?.(manifest, specOf(samples + 1, { kind: "iid" }))).toMatchObject({ ok: false, code: "bad-spec" });
  expect(await shelf.clients?.(manifest, specOf(5, { kind: "role" }, "gpt"))).toMatchObject({ ok: false, code: "bad-spec" });
});
