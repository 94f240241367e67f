// `weft datasets import` and `list` on real folders and files: what is imported is listed, and readable as a coordinator reads it.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type DatasetManifest, totalSamples } from "@weft/protocol";
import { openFileStorage } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { beforeEach, describe, expect, it } from "vitest";
import { IMAGES, idx, LABELS, PIXELS, TEXT } from "../test/data-files.ts";
import { contentOf, output, temporaryFolder } from "../test/weft.ts";

let files: string;
let data: string;
beforeEach(async () => {
  files = await temporaryFolder();
  data = join(files, "data");
});

const ABOUT = ["--license", "CC0-1.0", "--attribution", "Nobody"];
const about = (id: string): string[] => ["--data", data, "--id", id, ...ABOUT];
const put = async (name: string, content: string | Uint8Array): Promise<string> => {
  const path = join(files, name);
  await writeFile(path, content);
  return path;
};
const listed = async (): Promise<readonly DatasetManifest[]> => JSON.parse(await output(["datasets", "list", "--data", data, "--json"]));
/** The set as it stands in the folder, with the bytes of its shards, read through the storage as a coordinator reads it. */
async function stored(id: string): Promise<{ readonly manifest: DatasetManifest; readonly shards: readonly Uint8Array[] }> {
  const manifest = (await listed()).find((one) => one.id === id);
  if (manifest === undefined) throw new Error(`${id} is not listed`);
  const storage = await openFileStorage(nodeDisk(), data);
  try {
    const shards = [];
    for (const { sha256 } of [...manifest.train, ...manifest.heldOut]) {
      const bytes = await storage.blobs.get(sha256);
      if (bytes === null) throw new Error(`shard ${sha256} is missing`);
      shards.push(bytes);
    }
    return { manifest, shards };
  } finally {
    await storage.close();
  }
}

/** First pixel and label of each image of a shard. */
const records = (shard: Uint8Array, count: number): [number, number][] =>
  Array.from({ length: count }, (_, index) => [shard[4 * index] ?? -1, shard[4 * count + index] ?? -1]);

describe("weft datasets import", () => {
  it("takes IDX files, packed or not, and holds out a seeded part", async () => {
    const [images, labels] = [await put("images.gz", gzipSync(IMAGES)), await put("labels", idx([6], LABELS))];
    const said = await output(["datasets", "import", "idx", ...about("six"), "--images", images, "--labels", labels, "--held-out", "0.34"]);
    expect(said).toBe(
      'six: added; images, 2x2x1, 3 classes; 4 images to train on, 2 held out; CC0-1.0.\nA run uses it with "dataset": "six" in its specification.\n',
    );
    const { manifest, shards } = await stored("six");
    expect(manifest.files.map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual([
      ["images.gz", gzipSync(IMAGES).length],
      ["labels", 14],
    ]);
    const [train, heldOut] = shards;
    const pairs = [...records(train ?? new Uint8Array(), 4), ...records(heldOut ?? new Uint8Array(), 2)];
    expect(pairs.sort((one, other) => one[0] - other[0])).toEqual(LABELS.map((label, index) => [40 * index, label]));
  });
  it("takes held-out IDX files of their own", async () => {
    const paths = [
      await put("a", IMAGES),
      await put("b", idx([6], LABELS)),
      await put("c", idx([1, 2, 2], [9, 9, 9, 9])),
      await put("d", idx([1], [2])),
    ];
    const names = ["--images", "--labels", "--held-out-images", "--held-out-labels"];
    await output(["datasets", "import", "idx", ...about("own"), ...names.flatMap((name, index) => [name, paths[index] ?? ""])]);
    const { manifest, shards } = await stored("own");
    expect([totalSamples(manifest.train), totalSamples(manifest.heldOut)]).toEqual([6, 1]);
    expect([...(shards[0] ?? [])]).toEqual([...PIXELS, ...LABELS]);
    expect([...(shards[1] ?? [])]).toEqual([9, 9, 9, 9, 2]);
  });

  it("takes CSV with a header, the label first, a shape and a scale", async () => {
    const path = await put("rows.csv", "label,p\r\n1,0,1,2,3,4,16\r\n0,6,5,4,3,2,1\r\n");
    await output([
      "datasets",
      "import",
      "csv",
      path,
      ...about("wide"),
      "--label",
      "first",
      "--header",
      "--shape",
      "1x2x3",
      "--scale",
      "16",
      "--held-out",
      "0",
    ]);
    const { manifest, shards } = await stored("wide");
    expect(manifest.form).toMatchObject({ height: 1, width: 2, channels: 3, classes: 2, scale: 16 });
    expect([...(shards[0] ?? [])].sort((one, other) => one - other)).toEqual([0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 16]);
  });

  it("takes text of several files, and says whose it is", async () => {
    const paths = [await put("one.txt", "ab\r\nab\r\n"), await put("two.txt", "ba\nba\nbaba")];
    const told = ["--name", "Ab", "--description", "Two letters", "--source", "Here", "--citation", "Nobody (2020)"];
    await output(["datasets", "import", "text", ...paths, ...about("ab"), ...told, "--held-out", "0.5"]);
    const { manifest, shards } = await stored("ab");
    expect(manifest).toMatchObject({
      name: "Ab",
      description: "Two letters",
      source: "Here",
      citation: "Nobody (2020)",
      license: "CC0-1.0",
      attribution: "Nobody",
    });
    expect(manifest.form).toEqual({ kind: "text", alphabet: ["\n", "a", "b"] });
    expect(shards.map((shard) => [...shard])).toEqual([
      [1, 2, 0, 2, 1, 0, 2, 1],
      [1, 2, 0, 0, 2, 1, 2, 1],
    ]);
  });

  it("takes JSON lines and holds out whole documents", async () => {
    const path = await put("documents.jsonl", '{"text":"one"}\n\n{"text":"two","more":1}\n');
    const said = await output(["datasets", "import", "jsonl", path, ...about("documents"), "--held-out", "0.5"]);
    expect(said).toContain("5 characters to train on, 5 held out");
    const { manifest, shards } = await stored("documents");
    const alphabet = manifest.form.kind === "text" ? manifest.form.alphabet : [];
    expect(shards.map((shard) => [...shard].map((token) => alphabet[token]).join(""))).toEqual(["one\n\n", "two\n\n"]);
  });

  it("says that the same set is there already", async () => {
    const args = ["datasets", "import", "text", await put("a.txt", TEXT), ...about("twice")];
    await output(args);
    const before = await contentOf(data);
    expect(await output(args)).toMatch(/^twice: there already; text, /);
    expect(await contentOf(data)).toEqual(before);
  });

  it("lists what is in the folder between the sets that come with Weft", async () => {
    await output(["datasets", "import", "text", await put("a.txt", TEXT), ...about("book"), "--name", "A\u001b[31m \u202ebook"]);
    const lines = (await output(["datasets", "list", "--data", data])).trimEnd().split("\n");
    expect(lines.map((line) => line.split(/ {2,}/))).toEqual([
      ["id", "name", "kind", "train", "held out", "licence"],
      ["austen", "Austen, six novels", "text, 81 symbols", "3622523", "402505", "LicenseRef-PublicDomain"],
      ["book", "A?[31m ?book", "text, 16 symbols", "540", "60", "CC0-1.0"],
      ["digits", "Handwritten digits, 8x8", "images, 8x8x1, 10 classes", "1438", "359", "CC-BY-4.0"],
    ]);
    const json = await output(["datasets", "list", "--data", data, "--json"]);
    expect(json).toContain('"A\\u001b[31m \\u202ebook"');
    expect((await listed())[1]?.name).toBe("A\u001b[31m \u202ebook");
  });
});
