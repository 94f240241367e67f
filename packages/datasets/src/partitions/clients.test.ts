// Visits to clients: whoever reads the data comes to the same samples, each of a client's own once an epoch.
import type { Assignment, RunSpec } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { drawSample, visitedSample } from "../../../training/src/sampler.ts";
import { DatasetFault } from "../fault.ts";
import { importCsv } from "../import-images.ts";
import { importRoles } from "../import-roles.ts";
import { importText } from "../import-text.ts";
import { datasetReader } from "../reader.ts";
import type { ImportedDataset } from "../shards.ts";
import { decodeTokens } from "../text.ts";
import { volunteerData } from "../volunteer-data.ts";
import { clientsOf } from "./clients.ts";

const ABOUT = {
  id: "own",
  name: "Own",
  description: "Made here",
  source: "made here",
  license: "CC0-1.0",
  attribution: "nobody",
  citation: "",
};
const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** Sixty images of one value, their number; ten of each of six labels. */
const images = (): Promise<ImportedDataset> =>
  importCsv({
    about: ABOUT,
    file: { name: "own.csv", bytes: bytes(Array.from({ length: 60 }, (_, index) => `${index},${index % 6}`).join("\n")) },
    label: "last",
    header: false,
    scale: 64,
    labels: ["a", "b", "c", "d", "e", "f"],
    heldOut: { fraction: 0 },
  });
const blobsOf = ({ manifest, shards }: ImportedDataset) => ({
  get: async (sha256: string) => shards[manifest.train.findIndex((shard) => shard.sha256 === sha256)] ?? expect.fail(),
});
const specOf = (partition: object, model: object = { kind: "mlp" }): RunSpec =>
  ({ seed: 5, model, sampler: { kind: "clients", clients: 6, perRound: 3, epochs: 2, partition } }) as RunSpec;
const assigned = (start: number, samples: number): Assignment =>
  ({ start, samples, dataset: { sha256: "d", sizeBytes: 1 }, spec: { sha256: "s", sizeBytes: 1 } }) as Assignment;

describe("a visit to a client", () => {
  it("has all of its samples in each epoch, with the labels that the partition gave it, and no other client's", async () => {
    const set = await images();
    const spec = specOf({ kind: "label-shards", shardsPerClient: 2 });
    const reader = datasetReader(set.manifest, blobsOf(set), "train");
    const clients = await clientsOf(spec, reader);
    const data = volunteerData({ blobs: blobsOf(set), draw: drawSample, visit: visitedSample });
    const seen = new Map<number, readonly number[]>();
    for (const start of [0, 1, 2, 3, 4, 5]) {
      const client = drawSample(spec.sampler, spec.seed, start, 1);
      const size = clients.size(client);
      const work = { assignment: assigned(start, 2 * size), spec, manifest: set.manifest };
      const epochs = await Promise.all([0, size].map((from) => data.batch(work, from, from + size, size)));
      const [first, second] = epochs.map(({ inputs }) => [...inputs].toSorted((one, other) => one - other));
      expect(first).toEqual(second);
      expect(new Set(first).size).toBe(size);
      expect(new Set(epochs[0]?.targets).size).toBeLessThanOrEqual(2);
      expect(first).toEqual(seen.get(client) ?? first);
      seen.set(client, first ?? []);
    }
    const all = [...seen.values()].flat();
    expect(new Set(all).size).toBe(all.length);
  });

  it("of another number of samples than the client has is a fault of the data set", async () => {
    const set = await images();
    const data = volunteerData({ blobs: blobsOf(set), draw: drawSample, visit: visitedSample });
    const work = { assignment: assigned(0, 22), spec: specOf({ kind: "iid" }), manifest: set.manifest };
    await expect(data.batch(work, 0, 4, 4)).rejects.toThrow("10 samples; 2 epochs of them are not 22");
  });

  it("of a text is made of windows that do not overlap", async () => {
    const text = "to be or not to be that is the question whether tis nobler in the mind ";
    const set = await importText({ about: ABOUT, files: [{ name: "own.txt", bytes: bytes(text.repeat(4)) }], heldOutFraction: 0 });
    const reader = datasetReader(set.manifest, blobsOf(set), "train");
    const clients = await clientsOf(specOf({ kind: "iid" }, { kind: "lstm", context: 12 }), reader);
    const starts = Array.from({ length: 6 }, (_, client) =>
      Array.from({ length: clients.size(client) }, (_, index) => clients.sample(client, index)),
    ).flat();
    expect(starts.toSorted((one, other) => one - other)).toEqual(
      Array.from({ length: Math.floor((reader.samples - 1) / 12) }, (_, index) => 12 * index),
    );
    expect(Math.max(...starts) + 12).toBeLessThan(reader.samples);
  });

  it("is refused by labels of a text, and by roles where the data set names none", async () => {
    const set = await importText({ about: ABOUT, files: [{ name: "own.txt", bytes: bytes("abcdefgh".repeat(40)) }], heldOutFraction: 0 });
    const reader = datasetReader(set.manifest, blobsOf(set), "train");
    const gpt = { kind: "gpt", context: 4 };
    await expect(clientsOf(specOf({ kind: "dirichlet", alpha: 1 }, gpt), reader)).rejects.toThrow(DatasetFault);
    await expect(clientsOf(specOf({ kind: "role" }, gpt), reader)).rejects.toThrow("does not say which part of its text is whose");
  });

  it("by role is made of windows that lie in one role's words alone; a role that fills no window is no client", async () => {
    const play = "ADA:\nadadadadadadad\nadad\n\nBO:\nb\nb\n\nCY:\ncycycy\ncycycy\ncy\n\n";
    const set = await importRoles({ about: ABOUT, files: [{ name: "own.txt", bytes: bytes(play) }] });
    const reader = datasetReader(set.manifest, blobsOf(set), "train");
    const spec = (clients: number): RunSpec =>
      ({
        seed: 5,
        model: { kind: "lstm", context: 4 },
        sampler: { kind: "clients", clients, perRound: 1, epochs: 1, partition: { kind: "role" } },
      }) as RunSpec;
    await expect(clientsOf(spec(3), reader)).rejects.toThrow(
      "2 of the data set's 3 roles have more than 4 characters: sampler.clients must be 2, not 3.",
    );
    const clients = await clientsOf(spec(2), reader);
    const alphabet = set.manifest.form.kind === "text" ? set.manifest.form.alphabet : [];
    const wordsOf = async (client: number): Promise<string[]> => {
      const starts = Array.from({ length: clients.size(client) }, (_, index) => clients.sample(client, index));
      const { inputs, targets } = await reader.windows(starts, 4, starts.length);
      return starts.map((_, row) => decodeTokens(alphabet, [...inputs.slice(4 * row, 4 * row + 4), targets[4 * row + 3] as number]));
    };
    expect(await wordsOf(0)).toEqual(["adada", "adada", "adada"]);
    expect(await wordsOf(1)).toEqual(["cycyc", "cy\ncy", "ycycy"]);
    expect(() => clients.size(2)).toThrow(RangeError);
    expect(() => clients.sample(1, 3)).toThrow(RangeError);
  });
});
