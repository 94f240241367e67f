// The committed manifests are what the committed files give. WEFT_WRITE_MANIFESTS=1 writes them anew after a deliberate change.
import { readFile, writeFile } from "node:fs/promises";
import { totalSamples } from "@weft/protocol";
import { beforeAll, describe, expect, it } from "vitest";
import { sha256 } from "./bytes.ts";
import { buildEmbedded, EMBEDDED_IDS, embeddedDataset, type ReadEmbedded } from "./embedded.ts";

const folder = new URL("../embedded/", import.meta.url);
const read: ReadEmbedded = async (path) => new Uint8Array(await readFile(new URL(path, folder)));

beforeAll(async () => {
  if (process.env.WEFT_WRITE_MANIFESTS !== "1") return;
  for (const id of EMBEDDED_IDS)
    await writeFile(new URL(`${id}/manifest.json`, folder), `${JSON.stringify((await buildEmbedded(id, read)).manifest, null, 2)}\n`);
});

describe("the embedded data sets", () => {
  it.each(EMBEDDED_IDS)("%s: the manifest is what its files give, and every shard has its name and size", async (id) => {
    const { manifest, shards } = await embeddedDataset(id, read);
    expect((await buildEmbedded(id, read)).manifest).toEqual(manifest);
    const named = [...manifest.train, ...manifest.heldOut];
    expect(shards).toHaveLength(named.length);
    for (const [index, shard] of named.entries()) {
      expect(shards[index]?.length).toBe(shard.sizeBytes);
      expect(await sha256(shards[index] ?? new Uint8Array())).toBe(shard.sha256);
      expect(shard.sizeBytes).toBeLessThanOrEqual(1024 * 1024);
    }
  });

  it("digits: a fifth is held out, every image is in one part, each class in both", async () => {
    const { manifest, shards } = await embeddedDataset("digits", read);
    expect([totalSamples(manifest.train), totalSamples(manifest.heldOut)]).toEqual([1438, 359]);
    expect(manifest.form).toMatchObject({ kind: "images", height: 8, width: 8, channels: 1, classes: 10, scale: 16 });
    expect(manifest.license).toBe("CC-BY-4.0");
    // Independently: the rows of the file, as a multiset.
    const { gunzipSync } = await import("node:zlib");
    const rows = gunzipSync(await read("digits/digits.csv.gz"))
      .toString()
      .trim()
      .split("\n")
      .sort();
    const found: string[] = [];
    for (const [index, { samples }] of [...manifest.train, ...manifest.heldOut].entries()) {
      const bytes = shards[index] ?? new Uint8Array();
      const labels = [...bytes.subarray(64 * samples)];
      expect(new Set(labels).size).toBe(10);
      for (let row = 0; row < samples; row++) found.push([...bytes.subarray(64 * row, 64 * (row + 1)), labels[row]].join());
    }
    expect(found.sort()).toEqual(rows);
  });

  it("austen: the last tenth of each novel is held out, nothing is lost or changed", async () => {
    const { manifest, shards } = await embeddedDataset("austen", read);
    if (manifest.form.kind !== "text") throw new Error("not a text");
    const { alphabet } = manifest.form;
    expect(alphabet).toHaveLength(81);
    const { gunzipSync } = await import("node:zlib");
    const novels = await Promise.all(manifest.files.map(async ({ name }) => gunzipSync(await read(`austen/${name}.gz`)).toString("utf8")));
    const text = (from: number, count: number): string =>
      shards
        .slice(from, from + count)
        .map((shard) => Array.from(shard, (token) => alphabet[token]).join(""))
        .join("");
    const cuts = novels.map((novel) => Math.floor(novel.length * 0.9));
    const held = text(manifest.train.length, manifest.heldOut.length);
    expect(text(0, manifest.train.length) === novels.map((novel, index) => novel.slice(0, cuts[index])).join("")).toBe(true);
    expect(held === novels.map((novel, index) => novel.slice(cuts[index])).join("")).toBe(true);
    expect(held.endsWith(novels.at(-1)?.slice(-50) ?? "?")).toBe(true);
  });

  it("refuses a file that is not the published one", async () => {
    const { gzipSync, gunzipSync } = await import("node:zlib");
    const altered: ReadEmbedded = async (path) => {
      const bytes = await read(path);
      if (path !== "austen/emma.txt.gz") return bytes;
      return new Uint8Array(gzipSync(gunzipSync(bytes).toString("utf8").replace("Emma", "Emme")));
    };
    await expect(embeddedDataset("austen", altered)).rejects.toThrow("austen/emma.txt is not the one");
  });
});
