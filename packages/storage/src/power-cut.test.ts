// Power is lost, or the process killed, before every single operation of a scripted history. Whatever was acknowledged must be there after.
import type { LedgerRecord, Sha256 } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { sha256 } from "./checksum.ts";
import { collect, exampleRecord } from "./conformance.ts";
import { openFileStorage } from "./files.ts";
import type { Storage } from "./interfaces.ts";
import { MemoryDisk, type PowerCut } from "./memory-disk.ts";

/** What the storage has promised so far. */
interface Promised {
  /** Per run: how many records were acknowledged as durable, and the contribution that each names. */
  readonly records: Map<string, number>;
  readonly blobs: Map<Sha256, Uint8Array>;
}
const options = { ledgerSegmentBytes: 900, contributionSegmentBytes: 700, schedule: () => () => undefined };
const bytesOf = (text: string, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => text.charCodeAt(index % text.length) ^ (index & 255));
const contributionOf = (run: string, seq: number): Uint8Array => bytesOf(`${run}${seq}`, 60 + seq * 7);
const textOf = (run: string, seq: number): string => `${run} ${seq} ${"x".repeat(seq % 5)}`;

/** Records that name a contribution put just before, some alone and some together, on two runs; blobs between. */
const history = async (storage: Storage, promised: Promised): Promise<void> => {
  const step = async (run: string, from: number, to: number): Promise<void> => {
    const work: Promise<void>[] = [];
    for (let seq = from; seq < to; seq++) {
      const bytes = contributionOf(run, seq);
      const name = hashes.get(`${run}/${seq}`) ?? "";
      const record = exampleRecord(seq, textOf(run, seq));
      work.push(storage.contributions.put(run, name, bytes));
      work.push(
        storage.ledger
          .append(run, [record], seq % 4 === 3 ? "buffered" : "durable")
          .then(() => void (seq % 4 !== 3 && promised.records.set(run, Math.max(promised.records.get(run) ?? 0, seq + 1)))),
      );
    }
    const failed = (await Promise.allSettled(work)).find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  };
  const blob = async (text: string): Promise<void> => {
    const bytes = bytesOf(text, 300);
    const { sha256: name } = await storage.blobs.put(bytes);
    promised.blobs.set(name, bytes);
  };
  await step("a", 0, 1);
  await blob("first");
  await step("a", 1, 6);
  await Promise.all([step("b", 0, 3), step("a", 6, 9), blob("second")]);
  await blob("first");
  await step("a", 9, 15);
  await step("b", 3, 5);
  await storage.close();
};
const hashes = new Map<string, Sha256>();

const check = async (storage: Storage, promised: Promised): Promise<void> => {
  for (const run of ["a", "b"]) {
    const records: LedgerRecord[] = await collect(storage.ledger.read(run));
    expect(records.length, `records of ${run}`).toBeGreaterThanOrEqual(promised.records.get(run) ?? 0);
    for (const [seq, record] of records.entries()) {
      expect(record).toEqual(exampleRecord(seq, textOf(run, seq)));
      // Contributions before the ledger that names them.
      expect(Buffer.from((await storage.contributions.get(run, hashes.get(`${run}/${seq}`) ?? "")) ?? [])).toEqual(
        Buffer.from(contributionOf(run, seq)),
      );
    }
  }
  for (const [name, bytes] of promised.blobs)
    expect(Buffer.from((await storage.blobs.get(name)) ?? []).equals(bytes), `blob ${name}`).toBe(true);
};

describe("after power is lost at any operation", async () => {
  for (const run of ["a", "b"]) for (let seq = 0; seq < 30; seq++) hashes.set(`${run}/${seq}`, await sha256(contributionOf(run, seq)));

  const dry = new MemoryDisk();
  await history(await openFileStorage(dry, "weft/store", options), { records: new Map(), blobs: new Map() });
  const operations = dry.operations;

  for (const cut of ["lost", "torn", "killed"] satisfies PowerCut[])
    it(`nothing acknowledged is missing, order is kept, and work goes on (${cut}, ${operations} points)`, async () => {
      expect(operations).toBeGreaterThan(80);
      for (let at = 0; at <= operations; at++) {
        const disk = new MemoryDisk();
        disk.cutPowerAt(at);
        const promised: Promised = { records: new Map(), blobs: new Map() };
        try {
          await history(await openFileStorage(disk, "weft/store", options), promised);
        } catch {
          // The cut, as the storage reports it. What matters is what was promised before.
        }
        // Let what was under way run into the cut.
        await new Promise((resolve) => setImmediate(resolve));
        disk.powerOn(cut);
        try {
          const second = await openFileStorage(disk, "weft/store", options);
          await check(second, promised);
          const next = (await collect(second.ledger.read("a"))).length;
          await second.ledger.append("a", [exampleRecord(next, textOf("a", next))], "buffered");
          await second.contributions.put("a", hashes.get(`a/${next}`) ?? "", contributionOf("a", next));
          await second.ledger.append("a", [exampleRecord(next + 1, textOf("a", next + 1))], "durable");
          await second.contributions.put("a", hashes.get(`a/${next + 1}`) ?? "", contributionOf("a", next + 1));
          promised.records.set("a", next + 2);
          await second.close();
          // What was seen once must stay, whatever is lost now.
          disk.powerOn("lost");
          const third = await openFileStorage(disk, "weft/store", options);
          await check(third, promised);
          expect(third.recovered).toEqual([]);
        } catch (error) {
          throw new Error(`cut (${cut}) before operation ${at}: ${disk.log.slice(Math.max(0, at - 3), at + 1).join("; ")}`, {
            cause: error,
          });
        }
      }
    });

  it("what a killed process wrote and the next one read survives a power cut after", async () => {
    for (let at = 0; at <= operations; at++) {
      const disk = new MemoryDisk();
      disk.cutPowerAt(at);
      await openFileStorage(disk, "weft/store", options)
        .then((storage) => history(storage, { records: new Map(), blobs: new Map() }))
        .catch(() => undefined);
      await new Promise((resolve) => setImmediate(resolve));
      disk.powerOn("killed");
      const seen = await openFileStorage(disk, "weft/store", options);
      const promised: Promised = { records: new Map(), blobs: new Map() };
      for (const run of ["a", "b"]) promised.records.set(run, (await collect(seen.ledger.read(run))).length);
      const { sha256: name } = await seen.blobs.put(bytesOf("first", 300));
      promised.blobs.set(name, bytesOf("first", 300));
      disk.powerOn("lost");
      await check(await openFileStorage(disk, "weft/store", options), promised);
    }
  });
});
