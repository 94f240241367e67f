// Who gets which samples: nothing lost, nothing twice, and as uneven as each way of sharing out promises.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DatasetFault } from "../fault.ts";
import { type Partition, type PartitionKind, type PartitionOptions, partitionOf } from "./partition.ts";

const samplesOf = (partition: Partition, client: number): number[] =>
  Array.from({ length: partition.size(client) }, (_, index) => partition.sample(client, index));
const clientsOf = (partition: Partition): number[][] =>
  Array.from({ length: partition.clients }, (_, client) => samplesOf(partition, client));

const KINDS = fc.oneof(
  fc.constant<PartitionKind>({ kind: "iid" }),
  fc.integer({ min: 1, max: 4 }).map((shardsPerClient): PartitionKind => ({ kind: "label-shards", shardsPerClient })),
  fc.double({ min: 0.01, max: 100, noNaN: true }).map((alpha): PartitionKind => ({ kind: "dirichlet", alpha })),
);
const OPTIONS = fc
  .record({
    seed: fc.integer({ min: 0, max: 0xffff_ffff }),
    clients: fc.integer({ min: 1, max: 30 }),
    more: fc.integer({ min: 0, max: 300 }),
    classes: fc.integer({ min: 1, max: 12 }),
  })
  .chain(({ seed, clients, more, classes }) =>
    fc
      .array(fc.integer({ min: 0, max: classes - 1 }), { minLength: 4 * clients + more, maxLength: 4 * clients + more })
      .map((labels): PartitionOptions => ({ seed, clients, samples: labels.length, labels })),
  );

/** Like MNIST: as many of each of ten labels, mixed. */
const balanced = (samples: number, clients: number, seed = 1): PartitionOptions => ({
  seed,
  clients,
  samples,
  labels: Uint8Array.from({ length: samples }, (_, index) => (index * 7) % 10),
});
const labelsIn = (partition: Partition, client: number, { labels }: PartitionOptions): number[] =>
  samplesOf(partition, client).map((sample) => labels?.[sample] as number);

describe("a partition", () => {
  it("gives every sample to exactly one client, and every client at least one", () => {
    fc.assert(
      fc.property(KINDS, OPTIONS, (kind, options) => {
        const partition = partitionOf(kind, options);
        const clients = clientsOf(partition);
        expect(partition.clients).toBe(options.clients);
        expect(Math.min(...clients.map((samples) => samples.length))).toBeGreaterThan(0);
        expect(clients.flat().sort((one, other) => one - other)).toEqual(Array.from({ length: options.samples }, (_, index) => index));
      }),
      { numRuns: 200 },
    );
  });

  it("is the same for the same seed, and another for another", () => {
    fc.assert(
      fc.property(KINDS, (kind) => {
        const options = balanced(400, 8);
        const first = clientsOf(partitionOf(kind, options));
        expect(clientsOf(partitionOf(kind, options))).toEqual(first);
        expect(clientsOf(partitionOf(kind, { ...options, seed: 2 }))).not.toEqual(first);
      }),
    );
  });

  it("is pinned: these are the bits that every machine must come to", () => {
    const of = (kind: PartitionKind) => samplesOf(partitionOf(kind, balanced(100, 20, 42)), 3);
    expect(of({ kind: "iid" })).toMatchInlineSnapshot(`
      [
        70,
        2,
        33,
        85,
        32,
      ]
    `);
    expect(of({ kind: "label-shards", shardsPerClient: 2 })).toMatchInlineSnapshot(`
      [
        71,
        81,
        91,
        75,
        85,
        95,
      ]
    `);
    expect(of({ kind: "dirichlet", alpha: 0.3 })).toMatchInlineSnapshot(`
      [
        3,
        15,
        16,
        17,
        68,
        89,
      ]
    `);
  });

  it("refuses more clients than samples, and labels where there are none", () => {
    expect(() => partitionOf({ kind: "iid" }, balanced(9, 10))).toThrow(DatasetFault);
    expect(() => partitionOf({ kind: "label-shards", shardsPerClient: 2 }, balanced(19, 10))).toThrow(DatasetFault);
    for (const kind of [
      { kind: "label-shards", shardsPerClient: 2 },
      { kind: "dirichlet", alpha: 1 },
    ] as const)
      expect(() => partitionOf(kind, { ...balanced(100, 10), labels: null })).toThrow("no labels");
  });
});

describe("evenly and at random", () => {
  it("gives clients of equal size with a mix of all labels", () => {
    const options = balanced(60_000, 100);
    const partition = partitionOf({ kind: "iid" }, options);
    for (const client of [0, 50, 99]) {
      expect(partition.size(client)).toBe(600);
      const labels = labelsIn(partition, client, options);
      for (let label = 0; label < 10; label++) {
        const count = labels.filter((each) => each === label).length;
        // 60 expected; five deviations of a binomial are 37.
        expect(count).toBeGreaterThan(23);
        expect(count).toBeLessThan(97);
      }
    }
  });
});

describe("by label shards", () => {
  it("gives most clients two labels, as the FedAvg paper has it: 100 clients, 200 shards of 300", () => {
    const options = balanced(60_000, 100);
    const partition = partitionOf({ kind: "label-shards", shardsPerClient: 2 }, options);
    for (let client = 0; client < 100; client++) {
      expect(partition.size(client)).toBe(600);
      expect(new Set(labelsIn(partition, client, options)).size).toBeLessThanOrEqual(2);
    }
  });
});

describe("by Dirichlet's distribution", () => {
  /** Mean over clients of the share of a client's most frequent label. */
  const concentration = (alpha: number): number => {
    const options = balanced(6_000, 20);
    const partition = partitionOf({ kind: "dirichlet", alpha }, options);
    const shares = Array.from({ length: 20 }, (_, client) => {
      const labels = labelsIn(partition, client, options);
      const counts = Array.from({ length: 10 }, (_, label) => labels.filter((each) => each === label).length);
      return Math.max(...counts) / labels.length;
    });
    return shares.reduce((sum, share) => sum + share, 0) / shares.length;
  };

  it("is the more uneven the smaller alpha: near one label a client at 0.01, near an even mix at 1,000", () => {
    const [least, small, large, most] = [0.01, 0.3, 3, 1_000].map(concentration) as [number, number, number, number];
    expect(least).toBeGreaterThan(small);
    expect(small).toBeGreaterThan(large);
    expect(large).toBeGreaterThan(most);
    expect(least).toBeGreaterThan(0.6);
    expect(most).toBeLessThan(0.2);
  });

  it("draws shares of the variance that the distribution has", () => {
    // One label, two clients: the first one's share is Beta(alpha, alpha), of variance 1 / (4 (2 alpha + 1)).
    const shares = Array.from({ length: 200 }, (_, seed) => {
      const samples = 200;
      const partition = partitionOf({ kind: "dirichlet", alpha: 2 }, { seed, clients: 2, samples, labels: new Uint8Array(samples) });
      return partition.size(0) / samples;
    });
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    const variance = shares.reduce((sum, share) => sum + (share - mean) ** 2, 0) / shares.length;
    expect(mean).toBeGreaterThan(0.46);
    expect(mean).toBeLessThan(0.54);
    expect(variance).toBeGreaterThan(0.04);
    expect(variance).toBeLessThan(0.06);
  });
});
