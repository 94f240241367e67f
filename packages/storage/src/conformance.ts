// What every Storage must do, as one suite of tests: run it over each implementation. Takes the test runner's functions, so that it has
// no dependency on one.
import type { LedgerRecord } from "@weft/protocol";
import { sha256 } from "./checksum.ts";
import { type Storage, StorageFault } from "./interfaces.ts";

export interface TestFunctions {
  describe(name: string, body: () => void): void;
  it(name: string, body: () => Promise<void>): void;
  /** Throws unless both are equal by value. */
  equal(found: unknown, wanted: unknown): void;
}
export interface StorageUnderTest {
  readonly storage: Storage;
  /** Closes and opens again what was stored; absent where nothing outlives the process. */
  reopen?(): Promise<Storage>;
  destroy(): Promise<void>;
}

/** A record that only its place and text tell apart; storages do not check hashes of records. */
export const exampleRecord = (seq: number, by = "somebody"): LedgerRecord => ({
  seq,
  atMs: 1_000 + seq,
  event: { type: "run-paused", by },
  hash: seq.toString(16).padStart(64, "0"),
  signature: null,
});
export const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
};
const bytesOf = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 31 + seed * 17 + (index >> 8)) & 255);
const range = (from: number, to: number): LedgerRecord[] => Array.from({ length: to - from }, (_, index) => exampleRecord(from + index));

export const storageConformance = (name: string, make: () => Promise<StorageUnderTest>, { describe, it, equal }: TestFunctions): void => {
  const test = (title: string, body: (under: StorageUnderTest) => Promise<void>): void =>
    it(title, async () => {
      const under = await make();
      try {
        await body(under);
      } finally {
        await under.destroy();
      }
    });
  const faultOf = async (work: Promise<unknown>): Promise<string> => {
    try {
      await work;
      return "none";
    } catch (error) {
      return error instanceof StorageFault ? error.code : "programmer's error";
    }
  };

  describe(`${name} as a Storage`, () => {
    test("is empty and clean at first", async ({ storage }) => {
      equal(await storage.ledger.runs(), []);
      equal(await collect(storage.ledger.read("nobody")), []);
      equal(storage.recovered, []);
    });

    test("gives back the records of each run in order, from any place", async ({ storage }) => {
      await storage.ledger.append("a", range(0, 3), "durable");
      await storage.ledger.append("b", [exampleRecord(0, "other")], "durable");
      await storage.ledger.append("a", range(3, 5), "buffered");
      equal([...(await storage.ledger.runs())].sort(), ["a", "b"]);
      equal(await collect(storage.ledger.read("a")), range(0, 5));
      equal(await collect(storage.ledger.read("a", 4)), range(4, 5));
      equal(await collect(storage.ledger.read("a", 9)), []);
      equal(await collect(storage.ledger.read("b")), [exampleRecord(0, "other")]);
    });

    test("keeps the order of appends that are not waited for, buffered among durable", async ({ storage }) => {
      const work: Promise<void>[] = [];
      for (let seq = 0; seq < 300; seq++)
        work.push(storage.ledger.append("a", [exampleRecord(seq)], seq % 3 === 0 ? "durable" : "buffered"));
      await Promise.all(work);
      equal(await collect(storage.ledger.read("a")), range(0, 300));
    });

    test("refuses a record whose number is not the next, and goes on", async ({ storage }) => {
      await storage.ledger.append("a", range(0, 2), "durable");
      equal(await faultOf(storage.ledger.append("a", [exampleRecord(3)], "durable")), "programmer's error");
      equal(await faultOf(storage.ledger.append("a", [exampleRecord(1)], "durable")), "programmer's error");
      await storage.ledger.append("a", range(2, 3), "durable");
      equal(await collect(storage.ledger.read("a")), range(0, 3));
    });

    test("reads a ledger longer than a page while it grows, and may stop early", async ({ storage }) => {
      await storage.ledger.append("a", range(0, 700), "durable");
      const seen: number[] = [];
      for await (const { seq } of storage.ledger.read("a")) {
        seen.push(seq);
        if (seq === 300) await storage.ledger.append("a", range(700, 702), "durable");
      }
      equal(
        seen.slice(0, 700),
        Array.from({ length: 700 }, (_, seq) => seq),
      );
      for await (const { seq } of storage.ledger.read("a", 10)) if (seq === 12) break;
      equal((await collect(storage.ledger.read("a"))).length, 702);
    });

    test("keeps text of every language in records", async ({ storage }) => {
      const names = ["Zoë", "李", "line\nbreak", "\u2028", "🧵", '"quotes"\\'].map((by, seq) => exampleRecord(seq, by));
      await storage.ledger.append("a", names, "durable");
      equal(await collect(storage.ledger.read("a")), names);
    });

    test("names blobs by their SHA-256, puts the same bytes once, and gives parts", async ({ storage }) => {
      const bytes = bytesOf(20_000, 1);
      const ref = await storage.blobs.put(bytes);
      equal(ref, { sha256: await sha256(bytes), sizeBytes: 20_000 });
      equal(await Promise.all([storage.blobs.put(bytes), storage.blobs.put(bytes)]), [ref, ref]);
      equal(await storage.blobs.get(ref.sha256), bytes);
      equal(await storage.blobs.size(ref.sha256), 20_000);
      equal(await storage.blobs.getRange(ref.sha256, 10, 20), bytes.slice(10, 20));
      equal(await storage.blobs.getRange(ref.sha256, 19_990, 40_000), bytes.slice(19_990));
      equal((await storage.blobs.put(new Uint8Array(0))).sizeBytes, 0);
    });

    test("has no blob that was not put, nor one that was deleted, nor one with a path for a name", async ({ storage }) => {
      const ref = await storage.blobs.put(bytesOf(5, 2));
      await storage.blobs.delete(ref.sha256);
      await storage.blobs.delete(ref.sha256);
      for (const sha256 of [ref.sha256, "0".repeat(64), "../../format"]) {
        equal(await storage.blobs.get(sha256), null);
        equal(await storage.blobs.getRange(sha256, 0, 1), null);
        equal(await storage.blobs.size(sha256), null);
      }
      await storage.blobs.put(bytesOf(5, 2));
      equal(await storage.blobs.get(ref.sha256), bytesOf(5, 2));
    });

    test("keeps its own bytes: later changes of what was given or got do not reach it", async ({ storage }) => {
      const given = bytesOf(64, 3);
      const pooled = new Uint8Array(100).fill(9);
      pooled.set(given, 30);
      const { sha256 } = await storage.blobs.put(pooled.subarray(30, 94));
      const put = storage.contributions.put("a", sha256, pooled.subarray(30, 94));
      pooled.fill(0);
      await put;
      for (const got of [await storage.blobs.get(sha256), await storage.contributions.get("a", sha256)]) got?.fill(7);
      equal(await storage.blobs.get(sha256), given);
      equal(await storage.contributions.get("a", sha256), given);
    });

    test("forgets contributions that are dropped, in their run alone, and keeps one that is put again", async (under) => {
      const { storage } = under;
      const bytes = bytesOf(100, 40);
      const [name, other] = [await sha256(bytes), await sha256(bytesOf(100, 41))];
      for (const run of ["a", "b"]) {
        await storage.contributions.put(run, name, bytes);
        await storage.contributions.put(run, other, bytesOf(100, 41));
        await storage.ledger.append(run, range(0, 1), "durable");
      }
      await storage.contributions.drop("a", [name, "0".repeat(64)]);
      await storage.contributions.drop("nobody", [name]);
      equal(await storage.contributions.get("a", name), null);
      equal(await storage.contributions.get("a", other), bytesOf(100, 41));
      equal(await storage.contributions.get("b", name), bytes);
      await storage.contributions.put("a", name, bytes);
      await storage.ledger.append("a", range(1, 2), "durable");
      equal(await storage.contributions.get("a", name), bytes);
      if (under.reopen === undefined) return;
      const again = await under.reopen();
      equal(await again.contributions.get("a", name), bytes);
      equal(await again.contributions.get("a", other), bytesOf(100, 41));
    });

    test("gives back contributions of each run, also before they are on disk", async ({ storage }) => {
      const all = await Promise.all(
        Array.from({ length: 20 }, async (_, index) => ({
          bytes: bytesOf(index * 197, index),
          sha256: await sha256(bytesOf(index * 197, index)),
        })),
      );
      await Promise.all(all.map(({ bytes, sha256 }) => storage.contributions.put("a", sha256, bytes)));
      for (const { bytes, sha256 } of all) equal(await storage.contributions.get("a", sha256), bytes);
      await storage.ledger.append("a", range(0, 1), "durable");
      for (const { bytes, sha256 } of all) equal(await storage.contributions.get("a", sha256), bytes);
      equal(await storage.contributions.get("b", all[1]?.sha256 ?? ""), null);
      equal(await storage.contributions.get("a", "0".repeat(64)), null);
    });

    test("takes nothing after it was closed", async ({ storage }) => {
      await storage.ledger.append("a", range(0, 1), "buffered");
      await storage.close();
      equal(await faultOf(storage.ledger.append("a", range(1, 2), "durable")), "unavailable");
    });

    test("has everything after it was closed and opened again", async ({ storage, reopen }) => {
      if (reopen === undefined) return;
      const bytes = bytesOf(3_000, 4);
      const { sha256 } = await storage.blobs.put(bytes);
      await storage.contributions.put("a", sha256, bytes);
      await storage.ledger.append("a", range(0, 500), "buffered");
      const again = await reopen();
      equal(again.recovered, []);
      equal(await again.blobs.get(sha256), bytes);
      equal(await again.contributions.get("a", sha256), bytes);
      equal(await collect(again.ledger.read("a")), range(0, 500));
      await again.ledger.append("a", range(500, 501), "durable");
      equal((await collect(again.ledger.read("a", 499))).length, 2);
    });
  });
};
