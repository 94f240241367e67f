import { gzipSync } from "node:zlib";
import { totalSamples } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { importCsv, importIdx } from "./import-images.ts";
import type { About } from "./shards.ts";

const about: About = {
  id: "mine",
  name: "Mine",
  description: "Small images",
  source: "made here",
  license: "CC0-1.0",
  attribution: "Nobody",
  citation: "",
};
const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const idx = (dimensions: readonly number[], data: readonly number[], type = 8): Uint8Array => {
  const bytes = new Uint8Array(4 + 4 * dimensions.length + data.length);
  bytes.set([0, 0, type, dimensions.length]);
  const view = new DataView(bytes.buffer);
  for (const [index, extent] of dimensions.entries()) view.setUint32(4 + 4 * index, extent);
  bytes.set(data, 4 + 4 * dimensions.length);
  return bytes;
};
const images = (count: number, from = 0) => ({
  name: "images",
  bytes: idx(
    [count, 2, 3],
    Array.from({ length: count * 6 }, (_, index) => (from + index) & 255),
  ),
});
const labels = (count: number) => ({
  name: "labels",
  bytes: idx(
    [count],
    Array.from({ length: count }, (_, index) => index % 4),
  ),
});

describe("IDX import", () => {
  it("keeps pixels, labels and order, held-out files apart, packed files too", async () => {
    const train = images(5);
    const { manifest, shards } = await importIdx({
      about,
      train: { images: { name: "images.gz", bytes: new Uint8Array(gzipSync(train.bytes)) }, labels: labels(5) },
      heldOut: { images: images(2, 100), labels: labels(2) },
    });
    expect(manifest.form).toMatchObject({ kind: "images", height: 2, width: 3, channels: 1, classes: 4, scale: 255 });
    expect(shards.map((shard) => [...shard])).toEqual([
      [...Array.from({ length: 30 }, (_, index) => index), 0, 1, 2, 3, 0],
      [...Array.from({ length: 12 }, (_, index) => 100 + index), 0, 1],
    ]);
    expect(manifest.files.map(({ name }) => name)).toEqual(["images.gz", "labels", "images", "labels"]);
  });

  it("holds out a seeded fraction: the same every time, each image in one part", async () => {
    const make = () => importIdx({ about, train: { images: images(40), labels: labels(40) }, heldOut: { fraction: 0.25 } });
    const { manifest, shards } = await make();
    expect([totalSamples(manifest.train), totalSamples(manifest.heldOut)]).toEqual([30, 10]);
    expect((await make()).manifest).toEqual(manifest);
    const firsts = shards.flatMap((shard) => Array.from({ length: shard.length / 7 }, (_, row) => shard[row * 6]));
    expect(firsts.sort((one, other) => (one ?? 0) - (other ?? 0))).toEqual(
      Array.from({ length: 40 }, (_, index) => (index * 6) & 255).sort((one, other) => one - other),
    );
  });

  it("cuts shards at 1 MiB without cutting an image", async () => {
    const count = 3000;
    const { manifest, shards } = await importIdx({
      about,
      train: {
        images: {
          name: "i",
          bytes: idx(
            [count, 28, 28],
            Array.from({ length: count * 784 }, (_, index) => index % 251),
          ),
        },
        labels: { name: "l", bytes: idx([count], new Array<number>(count).fill(1)) },
      },
      heldOut: { fraction: 0 },
    });
    expect(manifest.train.map(({ samples }) => samples)).toEqual([1335, 1335, 330]);
    for (const shard of shards) expect(shard.length).toBeLessThanOrEqual(1024 * 1024);
  });

  it.each([
    ["a text", { images: { name: "x.idx", bytes: ascii("hello, this is no idx") } }, "x.idx, byte 0: not an IDX file"],
    ["floats", { images: { name: "x.idx", bytes: idx([1, 1, 1], [0, 0, 0, 0], 13) } }, "x.idx, byte 2: the type is 13"],
    ["one dimension", { images: { name: "x.idx", bytes: idx([6], [0, 0, 0, 0, 0, 0]) } }, "x.idx, byte 3: 1 dimensions"],
    [
      "a cut header",
      { images: { name: "x.idx", bytes: idx([1, 2, 3], []).slice(0, 9) } },
      "x.idx, byte 9: the file ends within its header",
    ],
    [
      "a cut body",
      { images: { name: "x.idx", bytes: images(5).bytes.slice(0, -1) } },
      "29 bytes of data where the header says 5 x 2 x 3 = 30; the file is truncated",
    ],
    ["a long body", { images: { name: "x.idx", bytes: idx([1, 1, 1], [1, 2]) } }, "too long"],
    ["a huge header", { images: { name: "x.idx", bytes: idx([0xffff_ffff, 0xffff_ffff, 0xffff_ffff], []) } }, "truncated"],
    ["other counts", { labels: labels(4) }, "labels: 4 labels for the 5 images of images"],
    [
      "cut gzip",
      { images: { name: "x.gz", bytes: new Uint8Array(gzipSync(images(5).bytes)).slice(0, -6) } },
      "x.gz: the gzip data is truncated or corrupt",
    ],
  ])("refuses %s with the place and the rule", async (_, wrong, sentence) => {
    await expect(
      importIdx({ about, train: { images: images(5), labels: labels(5), ...wrong }, heldOut: { fraction: 0.2 } }),
    ).rejects.toMatchObject({
      name: "DatasetFault",
      message: expect.stringContaining(sentence),
    });
  });

  it("refuses a label that is no class, and held-out images of another size", async () => {
    const train = { images: images(5), labels: labels(5) };
    await expect(importIdx({ about, train, labels: ["a", "b"], heldOut: { fraction: 0 } })).rejects.toThrow("label 2 is 2; with 2 classes");
    const other = { images: { name: "o", bytes: idx([1, 3, 2], [0, 0, 0, 0, 0, 0]) }, labels: labels(1) };
    await expect(importIdx({ about, train, heldOut: other })).rejects.toThrow(
      "The held-out images are 3 x 2 x 1, the training images 2 x 3 x 1",
    );
  });
});

describe("CSV import", () => {
  const csv = (text: string, more: object = {}) =>
    importCsv({ about, file: { name: "x.csv", bytes: ascii(text) }, label: "last", header: false, heldOut: { fraction: 0 }, ...more });
  const rowsOf = async (made: ReturnType<typeof importCsv>) => {
    const { shards, manifest } = await made;
    const values = 4;
    const count = totalSamples(manifest.train);
    return Array.from({ length: count }, (_, row) =>
      [...(shards[0]?.subarray(row * values, (row + 1) * values) ?? []), shards[0]?.[count * values + row]].join(),
    ).sort();
  };

  it("reads the label first or last, with a header or without, with CRLF and a last line end", async () => {
    const wanted = ["1,2,3,4,0", "5,6,7,255,1"];
    expect(await rowsOf(csv("1,2,3,4,0\n5,6,7,255,1"))).toEqual(wanted);
    expect(await rowsOf(csv("label,a,b,c,d\r\n0,1,2,3,4\r\n1,5,6,7,255\r\n", { label: "first", header: true }))).toEqual(wanted);
  });

  it("writes labels as u16 above 256 classes", async () => {
    const { shards } = await csv("7,300\n9,2\n", { heldOut: { fraction: 0, seed: 1 } });
    const bytes = shards[0] ?? new Uint8Array();
    const view = new DataView(bytes.buffer);
    expect(new Map([0, 1].map((row) => [bytes[row], view.getUint16(2 + 2 * row, true)]))).toEqual(
      new Map([
        [7, 300],
        [9, 2],
      ]),
    );
  });

  it.each([
    ["a cell that is no number", "1,2,3,4,0\n1,x,3,4,0", {}, 'x.csv, line 2, column 2: "x" is no pixel (a whole number from 0 to 255)'],
    ["a header that was not announced", "a,b,c,d,label\n1,2,3,4,0", {}, "say that there is a header"],
    ["a negative pixel", "1,-2,3,4,0", {}, 'line 1, column 2: "-2"'],
    ["a pixel above the scale", "1,17,3,4,0", { scale: 16 }, 'column 2: "17" is no pixel (a whole number from 0 to 16)'],
    ["a short row", "1,2,3,4,0\n1,2,3,0", {}, "line 2: 4 columns where the first row has 5"],
    ["an empty line within", "1,2,3,4,0\n\n1,2,3,4,0", {}, "line 2: 1 columns"],
    ["no square", "1,2,3,0", {}, "3 pixels a row are no square; say the height and width"],
    ["another shape", "1,2,3,4,0", { shape: { height: 1, width: 3, channels: 1 } }, "4 pixels a row, but 1 x 3 x 1 is 3"],
    ["no rows", "", {}, "holds no rows"],
    ["a label beyond the names", "1,2,3,4,2", { labels: ["a", "b"] }, '"2" is no label (a whole number from 0 to 1)'],
    ["a fraction of one", "1,2,3,4,2", { heldOut: { fraction: 1 } }, "held-out fraction is 1"],
  ])("refuses %s with the line and the rule", async (_, text, more, sentence) => {
    await expect(csv(text, more)).rejects.toMatchObject({ name: "DatasetFault", message: expect.stringContaining(sentence) });
  });

  it("names the field of the manifest that is not acceptable", async () => {
    await expect(csv("1,2,3,4,0", { about: { ...about, license: "free as in beer" } })).rejects.toThrow(
      "The data set's license is not acceptable",
    );
    await expect(csv("1,2,3,4,0", { about: { ...about, id: "../etc" } })).rejects.toThrow("The data set's id");
  });
});
