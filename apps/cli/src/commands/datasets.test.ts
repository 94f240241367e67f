// `weft datasets` on real folders and files: what is imported is listed and readable; what is refused is one sentence, and changes nothing.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type DatasetManifest, totalSamples } from "@weft/protocol";
import { openFileStorage } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { beforeEach, describe, expect, it } from "vitest";
import { contentOf, output, refusal, temporaryFolder, weft } from "../test/weft.ts";

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

/** IDX of unsigned bytes. */
const idx = (dimensions: readonly number[], values: readonly number[], type = 8): Buffer => {
  const header = Buffer.alloc(4 + 4 * dimensions.length);
  header.set([0, 0, type, dimensions.length]);
  for (const [index, extent] of dimensions.entries()) header.writeUInt32BE(extent, 4 + 4 * index);
  return Buffer.concat([header, Uint8Array.from(values)]);
};
const PIXELS = Array.from({ length: 24 }, (_, index) => 10 * index);
const LABELS = [0, 1, 2, 0, 1, 2];
/** Six images of 2 by 2, each pixel its own value. */
const IMAGES = idx([6, 2, 2], PIXELS);
/** Four images of 2 by 2, the label last. */
const ROWS = "0,0,255,255,0\n255,255,0,0,1\n1,2,3,4,2\n5,6,7,8,0\n";
const TEXT = "All happy families are alike.\n".repeat(20);

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

describe("an import that is refused", () => {
  type Case = readonly [
    what: string,
    kind: string,
    files: Readonly<Record<string, string | Uint8Array>>,
    options: readonly string[],
    message: RegExp,
  ];
  // "@x" is the path of the file x.
  const PAIR = ["--images", "@images", "--labels", "@labels"];
  const labels = idx([6], LABELS);
  const withHeldOut = [...PAIR, "--held-out-images", "@held"];
  const NOT_UTF8 = Buffer.from("one\ntwo \xff three\n", "latin1");
  const CASES: readonly Case[] = [
    [
      "truncated images",
      "idx",
      { images: IMAGES.subarray(0, 30), labels },
      PAIR,
      /^images: 14 bytes of data where the header says 6 x 2 x 2 = 24; the file is truncated\.$/,
    ],
    [
      "images that are too long",
      "idx",
      { images: Buffer.concat([IMAGES, IMAGES]), labels },
      PAIR,
      /^images: 64 bytes .* = 24; the file is too long\.$/,
    ],
    ["a truncated header", "idx", { images: IMAGES.subarray(0, 9), labels }, PAIR, /^images, byte 9: the file ends within its header\.$/],
    ["a wrong magic number", "idx", { images: "PNG, perhaps", labels }, PAIR, /^images, byte 0: not an IDX file/],
    [
      "another type of value",
      "idx",
      { images: idx([6, 2, 2], PIXELS, 13), labels },
      PAIR,
      /^images, byte 2: the type is 13; only unsigned bytes/,
    ],
    ["labels for images", "idx", { images: labels, labels }, PAIR, /^images, byte 3: 1 dimensions where images have 3 or 4\.$/],
    ["an empty file", "idx", { images: "", labels }, PAIR, /^images, byte 0: not an IDX file/],
    [
      "truncated gzip",
      "idx",
      { images: gzipSync(IMAGES).subarray(0, 30), labels },
      PAIR,
      /^images: the gzip data is truncated or corrupt \(30 bytes\)\.$/,
    ],
    [
      "too few labels",
      "idx",
      { images: IMAGES, labels: idx([5], LABELS.slice(1)) },
      PAIR,
      /^labels: 5 labels for the 6 images of images\.$/,
    ],
    [
      "half a held-out pair",
      "idx",
      { images: IMAGES, labels, held: IMAGES },
      withHeldOut,
      /^--held-out-images and --held-out-labels go together/,
    ],
    [
      "held-out images of another shape",
      "idx",
      { images: IMAGES, labels, held: idx([1, 1, 1], [1]), names: idx([1], [1]) },
      [...withHeldOut, "--held-out-labels", "@names"],
      /^The held-out images are 1 x 1 x 1, the training images 2 x 2 x 1\.$/,
    ],
    ["everything held out", "idx", { images: IMAGES, labels }, [...PAIR, "--held-out", "0.99"], /^No image is left to train on\./],
    [
      "a fraction of 1",
      "idx",
      { images: IMAGES, labels },
      [...PAIR, "--held-out", "1"],
      /^The held-out fraction is 1; it must be at least 0 and below 1\.$/,
    ],
    [
      "a fraction that is no number",
      "idx",
      { images: IMAGES, labels },
      [...PAIR, "--held-out", "half"],
      /^--held-out must be a number, not "half"\.$/,
    ],
    ["a missing file", "idx", { images: IMAGES }, PAIR, /^There is no file .*labels\.$/],
    ["a ragged row", "csv", { "a.csv": `${ROWS}1,2,3,4\n` }, ["@a.csv"], /^a\.csv, line 5: 4 columns where the first row has 5\.$/],
    ["a missing label", "csv", { "a.csv": `${ROWS}1,2,3,4,\n` }, ["@a.csv"], /^a\.csv, line 5, column 5: "" is no label/],
    [
      "a pixel out of range",
      "csv",
      { "a.csv": `${ROWS}1,256,3,4,0\n` },
      ["@a.csv"],
      /^a\.csv, line 5, column 2: "256" is no pixel \(a whole number from 0 to 255\)\.$/,
    ],
    [
      "a pixel above the scale",
      "csv",
      { "a.csv": "1,17,3,4,0\n" },
      ["@a.csv", "--scale", "16"],
      /^a\.csv, line 1, column 2: "17" is no pixel \(a whole number from 0 to 16\)\.$/,
    ],
    ["a negative pixel", "csv", { "a.csv": `${ROWS}-1,2,3,4,0\n` }, ["@a.csv"], /^a\.csv, line 5, column 1: "-1" is no pixel/],
    [
      "a header that was not announced",
      "csv",
      { "a.csv": `a,b,c,d,label\n${ROWS}` },
      ["@a.csv"],
      /^a\.csv, line 1, column 1: "a" is no pixel .* say that there is a header\.$/,
    ],
    [
      "rows that are no square",
      "csv",
      { "a.csv": "1,2,3,0\n" },
      ["@a.csv"],
      /^a\.csv: 3 pixels a row are no square; say the height and width\.$/,
    ],
    ["a shape that does not fit", "csv", { "a.csv": ROWS }, ["@a.csv", "--shape", "3x3"], /^a\.csv: 4 pixels a row, but 3 x 3 x 1 is 9\.$/],
    ["a shape that is none", "csv", { "a.csv": ROWS }, ["@a.csv", "--shape", "big"], /^--shape must be HEIGHTxWIDTH or .*, not "big"\.$/],
    ["a label in the middle", "csv", { "a.csv": ROWS }, ["@a.csv", "--label", "middle"], /^--label must be first or last, not "middle"\.$/],
    ["a scale that is no number", "csv", { "a.csv": ROWS }, ["@a.csv", "--scale", "x"], /^--scale must be a number, not "x"\.$/],
    ["no rows", "csv", { "a.csv": "a,b\n" }, ["@a.csv", "--header"], /^a\.csv: holds no rows\.$/],
    ["CSV that is not UTF-8", "csv", { "a.csv": NOT_UTF8 }, ["@a.csv"], /^a\.csv, line 2: not valid UTF-8\./],
    ["text that is not UTF-8", "text", { "a.txt": NOT_UTF8 }, ["@a.txt"], /^a\.txt, line 2: not valid UTF-8\./],
    ["the second of two files", "text", { "a.txt": TEXT, "b.txt": NOT_UTF8 }, ["@a.txt", "@b.txt"], /^b\.txt, line 2: not valid UTF-8\./],
    ["an empty text", "text", { "a.txt": "" }, ["@a.txt"], /^a\.txt: is empty\.$/],
    ["text of one letter", "text", { "a.txt": "aaaa" }, ["@a.txt"], /^a\.txt: fewer than two different characters\.$/],
    ["a file name that paints the terminal", "text", { "\u001b[2Ja.txt": "" }, ["@\u001b[2Ja.txt"], /^\?\[2Ja\.txt: is empty\.$/],
    ["a folder for a file", "text", {}, ["@."], /^There is no file .*\.$/],
    [
      "a line that is no JSON",
      "jsonl",
      { "a.jsonl": '{"text":"a"}\n{"text":\n' },
      ["@a.jsonl"],
      /^a\.jsonl, line 2: not valid JSON\. Each line must be an object/,
    ],
    [
      "a line without text",
      "jsonl",
      { "a.jsonl": '{"text":"a"}\n\n{"texts":"b"}\n' },
      ["@a.jsonl"],
      /^a\.jsonl, line 3: no "text" that is a string\./,
    ],
    ["a text that is a number", "jsonl", { "a.jsonl": '{"text":7}\n' }, ["@a.jsonl"], /^a\.jsonl, line 1: no "text" that is a string\./],
    ["no documents", "jsonl", { "a.jsonl": "\n\n" }, ["@a.jsonl"], /^a\.jsonl: holds no documents\.$/],
  ];

  it.each(CASES)("%s: one sentence, nothing changed", async (_what, kind, contents, options, message) => {
    for (const [name, content] of Object.entries(contents)) await put(name, content);
    const named = options.map((option) => (option.startsWith("@") ? join(files, option.slice(1)) : option));
    const args = ["datasets", "import", kind, ...named, ...about("refused")];
    expect(await refusal(args)).toMatch(message);
    expect(await contentOf(data)).toBeNull();
    await output(["datasets", "import", "csv", await put("good.csv", ROWS), ...about("good")]);
    const before = await contentOf(data);
    expect(await refusal(args)).toMatch(message);
    expect(await contentOf(data)).toEqual(before);
  });

  it.each([
    ["--id", "Not_An_Id", /^--id must be 1 to 40 small letters, digits and hyphens, .*, not "Not_An_Id"\.$/],
    ["--id", "digits", /^--id digits is the name of a data set that comes with Weft\. Import this one under another id\.$/],
    ["--license", "free for all", /^--license must be an SPDX identifier such as CC-BY-4\.0, .*, not "free for all"\.$/],
    ["--attribution", "", /^--attribution must be 1 to 1000 characters, not ""\.$/],
    ["--name", "n".repeat(81), /^--name must be 1 to 80 characters, not "n{60}"\.$/],
  ])("%s %s: named before a file is read", async (option, value, message) => {
    expect(await refusal(["datasets", "import", "text", "nowhere.txt", ...about("fine"), option, value])).toMatch(message);
    expect(await contentOf(data)).toBeNull();
  });

  it("another set of the same id: the one that is there stays", async () => {
    await output(["datasets", "import", "text", await put("a.txt", TEXT), ...about("same")]);
    const before = await contentOf(data);
    const message = await refusal(["datasets", "import", "text", await put("b.txt", `${TEXT}More.`), ...about("same")]);
    expect(message).toBe("There is another data set called same. Import this one under another id.");
    expect(await contentOf(data)).toEqual(before);
  });

  it("a data folder in which nothing can be written", async () => {
    const path = await put("a.txt", TEXT);
    await put("data", "a file where the folder should be");
    const before = await contentOf(files);
    expect(await refusal(["datasets", "import", "text", path, ...about("x")])).toBe(
      `The data folder ${data} is a file, not a folder. Name another with --data.`,
    );
    expect(await refusal(["datasets", "import", "text", path, ...about("x"), "--data", join(data, "below")])).toMatch(
      /data\/below is not possible \(.*a part of the path is a file\)\.$/,
    );
    expect(await refusal(["datasets", "list", "--data", data])).toMatch(/a part of the path is a file/);
    expect(await contentOf(files)).toEqual(before);
  });

  it("a data folder that somebody holds", async () => {
    const storage = await openFileStorage(nodeDisk(), data);
    const before = await contentOf(data);
    const message = await refusal(["datasets", "import", "text", await put("a.txt", TEXT), ...about("x")]);
    expect(message).toMatch(
      /is in use by another Weft process \(held by process \d+\)\. Stop the coordinator \(Ctrl-C\), add the data set, and start it again\.$/,
    );
    expect(await contentOf(data)).toEqual(before);
    await storage.close();
  });

  it("a damaged manifest: named, by import and by list", async () => {
    await mkdir(join(data, "datasets"), { recursive: true });
    await writeFile(join(data, "datasets", "x.json"), '{"id":');
    const message = "The manifest x.json is damaged: not valid JSON. Remove the file and import the data set again.";
    expect(await refusal(["datasets", "import", "text", await put("a.txt", TEXT), ...about("x")])).toBe(message);
    expect(await refusal(["datasets", "list", "--data", data])).toBe(message);
  });

  it("a forgotten option: named, with the help", async () => {
    const { code, err } = await weft(["datasets", "import", "text", "a.txt", "--data", data, "--id", "x", "--license", "MIT"]);
    expect([code, err.split("\n")[0]]).toEqual([1, "error: required option '--attribution <text>' not specified"]);
  });
});
