import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { folderFiles, MemoryDisk, memoryStorage } from "@weft/storage";
import { describe, expect, it } from "vitest";
import { sha256 } from "./bytes.ts";
import { datasetCatalog } from "./catalog.ts";
import { fetchDataset, fetchRecipe, RECIPES, type Recipe } from "./fetch.ts";
import { importText } from "./import-text.ts";

const about = { id: "poem", name: "Poem", description: "A poem", source: "here", license: "CC0-1.0", attribution: "Nobody", citation: "" };
const poem = (text: string) => importText({ about, files: [{ name: "poem.txt", bytes: new TextEncoder().encode(text) }] });
const setUp = () => {
  const disk = new MemoryDisk();
  const storage = memoryStorage();
  const files = folderFiles(disk, "weft/datasets");
  return { disk, storage, files, catalog: datasetCatalog(files, storage.blobs) };
};

describe("the catalog", () => {
  it("lists what was added, with every shard stored, also after a restart", async () => {
    const { catalog, storage, files } = setUp();
    const dataset = await poem("roses are red, violets are blue");
    expect(await catalog.list()).toEqual([]);
    expect(await catalog.add(dataset)).toBe("added");
    expect(await catalog.add(dataset)).toBe("there already");
    const again = datasetCatalog(files, storage.blobs);
    expect(await again.list()).toEqual([dataset.manifest]);
    expect(await again.manifest("poem")).toEqual(dataset.manifest);
    for (const shard of [...dataset.manifest.train, ...dataset.manifest.heldOut])
      expect(await storage.blobs.size(shard.sha256)).toBe(shard.sizeBytes);
  });

  it("never replaces another data set of the same id", async () => {
    const { catalog } = setUp();
    await catalog.add(await poem("roses are red"));
    await expect(catalog.add(await poem("violets are blue"))).rejects.toThrow("There is another data set called poem");
  });

  it("has nothing under a strange id, and says when a manifest is damaged", async () => {
    const { catalog, files } = setUp();
    for (const id of ["nothing", "../poem", "", "A"]) expect(await catalog.manifest(id)).toBeNull();
    await files.write("poem.json", new TextEncoder().encode("{"));
    await expect(catalog.manifest("poem")).rejects.toThrow("The manifest poem.json is damaged: not valid JSON");
    await files.write("poem.json", new TextEncoder().encode('{"id":"poem"}'));
    await expect(catalog.list()).rejects.toThrow("not a manifest of poem");
  });

  it("lists nothing when a shard cannot be stored", async () => {
    const { files, storage, catalog } = setUp();
    const dataset = await poem("roses are red, violets are blue");
    let puts = 0;
    const failing = {
      get: storage.blobs.get,
      put: (bytes: Uint8Array) => (puts++ > 0 ? Promise.reject(new Error("disk full")) : storage.blobs.put(bytes)),
    };
    await expect(datasetCatalog(files, failing).add(dataset)).rejects.toThrow("disk full");
    expect(puts).toBe(2);
    expect(await catalog.list()).toEqual([]);
  });

  it("adds the embedded sets once", async () => {
    const { catalog } = setUp();
    const read = async (path: string) => new Uint8Array(await readFile(new URL(`../embedded/${path}`, import.meta.url)));
    expect(await catalog.addEmbedded(read)).toEqual(["austen", "digits"]);
    expect(await catalog.addEmbedded(() => Promise.reject(new Error("not read again")))).toEqual([]);
    expect((await catalog.list()).map(({ id }) => id)).toEqual(["austen", "digits"]);
  });
});

describe("fetching", () => {
  const content = new TextEncoder().encode("a small text that stands for a large one");
  const recipe = async (): Promise<Recipe> => ({
    about,
    files: [
      { name: "one.txt", sizeBytes: content.length, sha256: await sha256(content), address: "https://example.org/one.txt.gz" },
      { name: "two.txt", sizeBytes: content.length, sha256: await sha256(content), address: "https://example.org/two.txt" },
    ],
    make: (all, files) => importText({ about: all, files }),
  });

  it("takes packed and plain files alike and says how far it is", async () => {
    const seen: string[] = [];
    const packed = new Uint8Array(gzipSync(content));
    const { manifest } = await fetchRecipe(
      await recipe(),
      async (address) => (address.endsWith(".gz") ? packed : content),
      (name, done, of) => seen.push(`${name} ${done}/${of}`),
    );
    expect(manifest.files.map(({ sizeBytes }) => sizeBytes)).toEqual([content.length, content.length]);
    expect(seen).toEqual(["one.txt 0/2", "two.txt 1/2"]);
  });

  it.each([
    ["a truncated file", content.slice(0, -1), "two.txt: 39 bytes where 40 are due; the file is truncated. Nothing was imported."],
    ["a truncated packed file", new Uint8Array(gzipSync(content)).slice(0, -3), "two.txt: the gzip data is truncated or corrupt"],
    ["a changed byte", content.with(3, 0x41), "two.txt: its SHA-256 is"],
    ["an error page", new TextEncoder().encode("<html>not found</html>"), "two.txt: 22 bytes where 40 are due"],
    ["a packed file that never ends", new Uint8Array(gzipSync(new Uint8Array(100_000))), "two.txt: unpacks to more than 40 bytes"],
  ])("refuses %s in the last place and makes nothing", async (_, wrong, sentence) => {
    const work = fetchRecipe(await recipe(), async (address) => (address.includes("two") ? wrong : content));
    await expect(work).rejects.toMatchObject({ name: "DatasetFault", message: expect.stringContaining(sentence) });
  });

  it("knows its recipes by name only, and each is whole", async () => {
    for (const name of ["cifar", "constructor", "__proto__"])
      await expect(fetchDataset(name, () => Promise.reject(new Error("not asked")))).rejects.toThrow(
        "there are mnist, fashion-mnist, tinyshakespeare",
      );
    for (const [name, { about: said, files }] of Object.entries(RECIPES)) {
      expect(said.id).toBe(name);
      for (const file of files) {
        expect(file.sha256).toMatch(/^[0-9a-f]{64}$/);
        expect(new URL(file.address).protocol).toBe("https:");
      }
    }
  });
});
