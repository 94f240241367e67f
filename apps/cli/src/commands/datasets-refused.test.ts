// What `weft datasets import` refuses: one sentence that names the file, the place and the rule, exit code 1, and a folder that is as it was.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { openFileStorage } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { beforeEach, describe, expect, it } from "vitest";
import { IMAGES, idx, LABELS, PIXELS, ROWS, TEXT } from "../test/data-files.ts";
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

  it("a folder of manifests that is none: no shard is stored either", async () => {
    await (await openFileStorage(nodeDisk(), data)).close();
    await writeFile(join(data, "datasets"), "");
    const before = await contentOf(data);
    const message = await refusal(["datasets", "import", "text", await put("a.txt", TEXT), ...about("x")]);
    expect(message).toMatch(/datasets\/x\.json is not possible \(.*a part of the path is a file\)\.$/);
    expect(await contentOf(data)).toEqual(before);
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
