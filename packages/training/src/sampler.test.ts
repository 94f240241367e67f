import type { DatasetManifest, RunSpec } from "@weft/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { drawSample, populationOf, visitedSample } from "./sampler.ts";

const EPOCH = { kind: "epoch" } as const;
const WINDOW = { kind: "random-window" } as const;
const draws = (sampler: typeof EPOCH | typeof WINDOW, seed: number, from: number, count: number, population: number): number[] =>
  Array.from({ length: count }, (_, index) => drawSample(sampler, seed, from + index, population));
const chiSquare = (counts: readonly number[], expected: number): number =>
  counts.reduce((total, count) => total + (count - expected) ** 2 / expected, 0);
const tally = (values: readonly number[], cells: number): number[] => {
  const counts = new Array<number>(cells).fill(0);
  for (const value of values) counts[value] = (counts[value] as number) + 1;
  return counts;
};

describe("the epoch sampler", () => {
  it("draws each sample exactly once an epoch, for every population from 1 to 300", () => {
    for (let population = 1; population <= 300; population++)
      for (const epoch of [0, 1, 17]) {
        const drawn = draws(EPOCH, 5, epoch * population, population, population);
        expect(drawn.toSorted((a, b) => a - b)).toEqual(Array.from({ length: population }, (_, index) => index));
      }
  });

  it("draws each of 60,000 exactly once, in another order next epoch and under another seed", () => {
    const first = draws(EPOCH, 1, 0, 60_000, 60_000);
    expect(new Set(first).size).toBe(60_000);
    expect(Math.min(...first.slice(0, 1000)) >= 0 && first.every((sample) => sample < 60_000)).toBe(true);
    const alike = (others: readonly number[]) => others.filter((sample, index) => sample === first[index]).length;
    expect(alike(draws(EPOCH, 1, 60_000, 60_000, 60_000))).toBeLessThan(12);
    expect(alike(draws(EPOCH, 2, 0, 60_000, 60_000))).toBeLessThan(12);
    expect(first.filter((sample, index) => sample === index).length).toBeLessThan(12);
  });

  it("gives any position alone what it gives in sequence", () => {
    const all = draws(EPOCH, 9, 0, 500, 123);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 499 }), (position) => {
        expect(drawSample(EPOCH, 9, position, 123)).toBe(all[position]);
      }),
    );
  });

  it("puts every sample at every place equally often over the epochs", () => {
    const population = 7;
    const epochs = 7000;
    const counts = new Array<number>(population * population).fill(0);
    for (let epoch = 0; epoch < epochs; epoch++)
      draws(EPOCH, 3, epoch * population, population, population).forEach((sample, place) => {
        counts[place * population + sample] = (counts[place * population + sample] as number) + 1;
      });
    // 36 degrees of freedom (rows and columns are fixed): 68 is passed once in a thousand seeds; this seed is fixed.
    expect(chiSquare(counts, epochs / population)).toBeLessThan(68);
  });

  it("spreads neighbours: in a stretch of an epoch, the samples cover the whole evenly", () => {
    const early = draws(EPOCH, 4, 0, 8000, 60_000).map((sample) => Math.floor((sample * 16) / 60_000));
    expect(chiSquare(tally(early, 16), 500)).toBeLessThan(37.7);
    // Neighbouring positions go up as often as down.
    const sequence = draws(EPOCH, 4, 0, 8000, 60_000);
    const up = sequence.filter((sample, index) => index > 0 && sample > (sequence[index - 1] as number)).length;
    expect(Math.abs(up - 4000)).toBeLessThan(120);
  });

  it("stays exact at positions beyond 2^32, up to the last one", () => {
    const population = 1437;
    const epoch = 3 * 2 ** 40;
    expect(new Set(draws(EPOCH, 1, epoch * population, population, population)).size).toBe(population);
    const last = Number.MAX_SAFE_INTEGER - (Number.MAX_SAFE_INTEGER % 3);
    expect(draws(EPOCH, 1, last - 3, 3, 3).toSorted()).toEqual([0, 1, 2]);
  });
});

describe("the random-window sampler", () => {
  it("draws whole starts inside the population, evenly, at positions beyond 2^32 too", () => {
    for (const from of [0, 2 ** 45]) {
      const starts = draws(WINDOW, 6, from, 32_000, 1000);
      expect(starts.every((start) => Number.isInteger(start) && start >= 0 && start < 1000)).toBe(true);
      expect(
        chiSquare(
          tally(
            starts.map((start) => Math.floor(start / 50)),
            20,
          ),
          1600,
        ),
      ).toBeLessThan(43.8);
      expect(new Set(starts).size).toBe(1000);
    }
  });

  it("gives the same starts for the same seed and position, others for another seed", () => {
    expect(draws(WINDOW, 6, 100, 50, 1e9)).toEqual(draws(WINDOW, 6, 0, 150, 1e9).slice(100));
    expect(draws(WINDOW, 7, 100, 50, 1e9)).not.toEqual(draws(WINDOW, 6, 100, 50, 1e9));
  });
});

it("keeps its bits: a ledger's sample stream never changes", () => {
  expect([draws(EPOCH, 7, 0, 8, 1437), draws(EPOCH, 7, 1437 * 5, 8, 1437), draws(WINDOW, 7, 0, 6, 4_000_000)]).toMatchInlineSnapshot(`
    [
      [
        532,
        583,
        215,
        1267,
        1050,
        1184,
        301,
        16,
      ],
      [
        1381,
        46,
        1077,
        650,
        632,
        296,
        1009,
        1309,
      ],
      [
        1107029,
        1440076,
        474550,
        539765,
        8790,
        3129502,
      ],
    ]
  `);
});

it.each([
  [0, 0],
  [0, 2.5],
  [-1, 10],
  [0.5, 10],
  [2 ** 53, 10],
])("refuses position %d of population %d", (position, population) => {
  for (const sampler of [EPOCH, WINDOW]) expect(() => drawSample(sampler, 1, position, population)).toThrow(RangeError);
});

describe("populationOf", () => {
  const shard = (samples: number) => ({ sha256: "0".repeat(64), sizeBytes: samples, samples });
  const manifest = { train: [shard(100), shard(41)] } as unknown as DatasetManifest;
  const spec = (model: object) => ({ model }) as unknown as RunSpec;

  it("counts images over all shards", () => {
    expect(populationOf(spec({ kind: "mlp" }), manifest)).toBe(141);
  });
  it("counts the starts of windows whose last target still lies in the text, none where it is too short", () => {
    expect(populationOf(spec({ kind: "gpt", context: 64 }), manifest)).toBe(77);
    expect(populationOf(spec({ kind: "lstm", context: 64 }), manifest)).toBe(77);
    expect(populationOf(spec({ kind: "gpt", context: 140 }), manifest)).toBe(1);
    expect(populationOf(spec({ kind: "gpt", context: 141 }), manifest)).toBe(0);
    expect(populationOf(spec({ kind: "gpt", context: 500 }), manifest)).toBe(0);
  });
});

describe("visits to clients", () => {
  const sampler = { kind: "clients", clients: 50, perRound: 10, epochs: 2, partition: { kind: "iid" } } as const;
  it("are to different clients within each round, and to every client about as often", () => {
    const counts = new Array<number>(50).fill(0);
    for (let round = 0; round < 500; round += 1) {
      const visited = Array.from({ length: 10 }, (_, place) => drawSample(sampler, 3, 10 * round + place, 1));
      expect(new Set(visited).size).toBe(10);
      for (const client of visited) counts[client] = (counts[client] as number) + 1;
    }
    // 100 visits each are expected, with a deviation of about 9.
    expect(Math.min(...counts)).toBeGreaterThan(55);
    expect(Math.max(...counts)).toBeLessThan(145);
  });

  it("take each of a client's samples once an epoch, in another order each epoch and each visit", () => {
    const epoch = (position: number, number: number) =>
      Array.from({ length: 40 }, (_, place) => visitedSample(3, position, number, 40, place));
    const orders = [epoch(0, 0), epoch(0, 1), epoch(1, 0), epoch(12_345, 9_999)];
    for (const order of orders) expect(order.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, index) => index));
    expect(new Set(orders.map(String)).size).toBe(orders.length);
    expect(() => visitedSample(3, 0, 0, 40, 40)).toThrow(RangeError);
  });
});
