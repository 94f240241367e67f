import type { Assignment, DatasetManifest, RunSpec } from "@weft/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sha256 } from "./bytes.ts";
import { DatasetFault } from "./fault.ts";
import { importCsv } from "./import-images.ts";
import { importText } from "./import-text.ts";
import { datasetReader, evenlySpread, type ShardSource, windowPopulation } from "./reader.ts";
import type { ImportedDataset } from "./shards.ts";
import { encodeText } from "./text.ts";
import { volunteerData } from "./volunteer-data.ts";

const about = { id: "d", name: "D", description: "Data", source: "here", license: "CC0-1.0", attribution: "Nobody", citation: "" };

const sourceOf = async (shards: readonly Uint8Array[]): Promise<ShardSource & { readonly asked: string[] }> => {
  const byHash = new Map(await Promise.all(shards.map(async (bytes) => [await sha256(bytes), bytes] as const)));
  const asked: string[] = [];
  return {
    asked,
    get: async (name) => {
      asked.push(name);
      return byHash.get(name) ?? Promise.reject(new Error("no such blob"));
    },
  };
};

/** Cuts the training part of a data set anew into shards of `most` samples, so that small data crosses many bounds. */
const recut = async ({ manifest, shards }: ImportedDataset, most: number, bytesPerSample: number): Promise<ImportedDataset> => {
  const whole = shards[0] ?? new Uint8Array();
  const pieces: Uint8Array[] = [];
  const train: DatasetManifest["train"] = [];
  for (let at = 0; at < whole.length; at += most * bytesPerSample) {
    const bytes = whole.slice(at, at + most * bytesPerSample);
    pieces.push(bytes);
    train.push({ sha256: await sha256(bytes), sizeBytes: bytes.length, samples: bytes.length / bytesPerSample });
  }
  return { manifest: { ...manifest, train }, shards: pieces };
};

const TEXT = "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife.";
const text = async (most: number) =>
  recut(await importText({ about, files: [{ name: "t", bytes: new TextEncoder().encode(TEXT) }], heldOutFraction: 0 }), most, 1);

describe("reading windows", () => {
  it("gives the tokens from the start on and targets one place later, over any shard bounds", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 30 }),
        fc.array(fc.nat(), { minLength: 1, maxLength: 5 }),
        fc.nat({ max: 3 }),
        async (most, context, raw, padding) => {
          const { manifest, shards } = await text(most);
          const reader = datasetReader(manifest, await sourceOf(shards), "train");
          expect(reader.samples).toBe(TEXT.length);
          const starts = raw.map((start) => start % windowPopulation(reader.samples, context));
          const rows = starts.length + padding;
          const batch = await reader.windows(starts, context, rows);
          const alphabet = manifest.form.kind === "text" ? manifest.form.alphabet : [];
          const wanted = starts.map((start) => [...encodeText(alphabet, TEXT.slice(start, start + context + 1))]);
          expect([...batch.inputs]).toEqual([
            ...wanted.flatMap((window) => window.slice(0, context)),
            ...new Array<number>(padding * context).fill(0),
          ]);
          expect([...batch.targets]).toEqual([
            ...wanted.flatMap((window) => window.slice(1)),
            ...new Array<number>(padding * context).fill(0),
          ]);
          expect([...batch.weights]).toEqual([...starts.map(() => 1), ...new Array<number>(padding).fill(0)]);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("reaches the last token and not one further", async () => {
    const { manifest, shards } = await text(50);
    const reader = datasetReader(manifest, await sourceOf(shards), "train");
    const population = windowPopulation(reader.samples, 10);
    const last = await reader.windows([population - 1], 10, 1);
    const alphabet = manifest.form.kind === "text" ? manifest.form.alphabet : [];
    expect(alphabet[last.targets[9] ?? -1]).toBe(".");
    await expect(reader.windows([population], 10, 1)).rejects.toThrow(RangeError);
    await expect(reader.windows([0, 0], 10, 1)).rejects.toThrow("2 windows for 1 rows");
    await expect(reader.images([0], 1)).rejects.toThrow("is a text");
  });
});

const csv = async () => {
  const rows = Array.from({ length: 20 }, (_, row) => `${row},${row + 1},${row + 2},${row + 3},${row % 3}`).join("\n");
  return importCsv({
    about,
    file: { name: "c", bytes: new TextEncoder().encode(rows) },
    label: "last",
    header: false,
    scale: 32,
    heldOut: { fraction: 0.2 },
  });
};

describe("reading images", () => {
  it("gives pixels over scale, labels and weights, in the order asked for", async () => {
    const { manifest, shards } = await csv();
    const reader = datasetReader(manifest, await sourceOf(shards), "train");
    expect(reader.samples).toBe(16);
    const batch = await reader.images([5, 0, 5], 4);
    const first = (batch.inputs[0] ?? 0) * 32;
    expect([...batch.inputs.slice(0, 4)]).toEqual([first / 32, (first + 1) / 32, (first + 2) / 32, (first + 3) / 32]);
    expect(batch.inputs.slice(8, 12)).toEqual(batch.inputs.slice(0, 4));
    expect(batch.targets[0]).toBe(first % 3);
    expect([...batch.inputs.slice(12)]).toEqual([0, 0, 0, 0]);
    expect([...batch.weights]).toEqual([1, 1, 1, 0]);
  });

  it("keeps the two splits apart", async () => {
    const { manifest, shards } = await csv();
    const source = await sourceOf(shards);
    const all = new Set<number>();
    for (const split of ["train", "heldOut"] as const) {
      const reader = datasetReader(manifest, source, split);
      const { inputs } = await reader.images(
        Array.from({ length: reader.samples }, (_, index) => index),
        reader.samples,
      );
      for (let row = 0; row < reader.samples; row++) all.add((inputs[4 * row] ?? 0) * 32);
    }
    expect(all.size).toBe(20);
  });

  it("fetches a shard once while it is cached, again after it was put out, and once for calls at the same time", async () => {
    const { manifest, shards } = await text(10);
    const source = await sourceOf(shards);
    const reader = datasetReader(manifest, source, "train", 25);
    await Promise.all([reader.windows([0], 5, 1), reader.windows([2], 5, 1)]);
    expect(source.asked).toHaveLength(1);
    await reader.windows([12, 22], 5, 2);
    expect(source.asked).toHaveLength(3);
    await reader.windows([0], 5, 1);
    expect(source.asked).toHaveLength(4);
  });

  it("asks again after a failed fetch", async () => {
    const { manifest, shards } = await csv();
    const good = await sourceOf(shards);
    let failures = 1;
    const reader = datasetReader(
      manifest,
      { get: (name, size) => (failures-- > 0 ? Promise.reject(new Error("offline")) : good.get(name, size)) },
      "train",
    );
    await expect(reader.images([0], 1)).rejects.toThrow("offline");
    expect((await reader.images([0], 1)).rows).toBe(1);
  });

  it("refuses shards that break the manifest's promise", async () => {
    const { manifest, shards } = await csv();
    const bytes = shards[0] ?? new Uint8Array();
    const wrongLabel = bytes.slice();
    wrongLabel[wrongLabel.length - 1] = 3;
    for (const [wrong, what] of [
      [bytes.slice(1), "has 79 bytes where 16 samples take 80"],
      [wrongLabel, "has the label 3 of 3 classes"],
    ] as const) {
      const work = datasetReader(manifest, { get: async () => wrong }, "train").images([0], 1);
      await expect(work).rejects.toThrow(DatasetFault);
      await expect(work).rejects.toThrow(what);
    }
    const letters = await text(200);
    const strange = (letters.shards[0] ?? new Uint8Array()).slice().fill(200, 3, 4);
    await expect(datasetReader(letters.manifest, { get: async () => strange }, "train").windows([0], 4, 1)).rejects.toThrow(
      "has the token 200",
    );
  });
});

describe("the samples of an assignment", () => {
  it("are drawn at its positions of the run's stream, among all images or all windows", async () => {
    const drawn: number[][] = [];
    const { manifest, shards } = await text(30);
    const data = volunteerData({
      blobs: await sourceOf(shards),
      draw: (_, seed, position, population) => {
        drawn.push([seed, position, population]);
        return position % population;
      },
      visit: () => expect.fail("nobody is visited"),
    });
    const work = {
      assignment: { start: 100, samples: 8, dataset: { sha256: "0".repeat(64), sizeBytes: 1 } } as Assignment,
      spec: { seed: 9, sampler: { kind: "random-window" }, model: { kind: "gpt", context: 12 } } as RunSpec,
      manifest,
    };
    const batch = await data.batch(work, 2, 5, 4);
    const population = TEXT.length - 12;
    expect(drawn).toEqual([102, 103, 104].map((position) => [9, position, population]));
    expect(batch.rows).toBe(4);
    expect([...batch.weights]).toEqual([1, 1, 1, 0]);
    await expect(data.batch(work, 5, 9, 4)).rejects.toThrow(RangeError);
  });
});

describe("an even spread", () => {
  it("takes different samples from the first on, all of them at most", () => {
    expect([...evenlySpread(4, 10)]).toEqual([0, 2, 5, 7]);
    expect([...evenlySpread(9, 3)]).toEqual([0, 1, 2]);
    expect([...evenlySpread(5, 0)]).toEqual([]);
  });
});
