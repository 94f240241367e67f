import type { LedgerRecord } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { sha256 } from "./checksum.ts";
import { collect, exampleRecord } from "./conformance.ts";
import { type FileStorageOptions, openFileStorage } from "./files.ts";
import { MemoryDisk } from "./memory-disk.ts";

const bytesOf = (length: number, seed: number): Uint8Array => Uint8Array.from({ length }, (_, index) => (index + seed) & 255);
const SEGMENT = "store/ledger/a/000000000000.ndjson";

/** A ledger of `count` records, each synced on its own, then closed. */
const filled = async (count: number): Promise<MemoryDisk> => {
  const disk = new MemoryDisk();
  const storage = await openFileStorage(disk, "store");
  for (let seq = 0; seq < count; seq++) await storage.ledger.append("a", [exampleRecord(seq)], "durable");
  await storage.close();
  return disk;
};
const cutOff = async (disk: MemoryDisk, path: string, bytes: number): Promise<void> => {
  const file = await disk.openAppend(path);
  await file.truncate(((await disk.size(path)) ?? 0) - bytes);
  await file.datasync();
};
const add = async (disk: MemoryDisk, path: string, bytes: Uint8Array): Promise<void> => {
  const file = await disk.openAppend(path);
  await file.append(bytes);
  await file.datasync();
};

describe("a ledger's end", () => {
  it("that is incomplete is dropped, said once, and written over", async () => {
    const disk = await filled(5);
    await cutOff(disk, SEGMENT, 7);
    const storage = await openFileStorage(disk, "store");
    expect(storage.recovered).toEqual([
      expect.stringMatching(
        /^The ledger of a ended in an incomplete record \(\d+ bytes after record 3 in store\/ledger\/a\/000000000000.ndjson\)/,
      ),
    ]);
    await storage.ledger.append("a", [exampleRecord(4, "anew")], "durable");
    await storage.close();
    const again = await openFileStorage(disk, "store");
    expect(again.recovered).toEqual([]);
    expect((await collect(again.ledger.read("a"))).at(-1)).toEqual(exampleRecord(4, "anew"));
  });

  it("may be a batch of which the first page never arrived", async () => {
    const disk = await filled(2);
    const length = (await disk.size(SEGMENT)) ?? 0;
    const storage = await openFileStorage(disk, "store");
    await storage.ledger.append("a", [exampleRecord(2), exampleRecord(3), exampleRecord(4)], "durable");
    await storage.close();
    const batch = await disk.readRange(SEGMENT, length, Number.MAX_SAFE_INTEGER);
    await cutOff(disk, SEGMENT, batch.length);
    await add(disk, SEGMENT, batch.fill(0, 0, 60));
    const after = await openFileStorage(disk, "store");
    expect(after.recovered).toHaveLength(1);
    expect(await collect(after.ledger.read("a"))).toHaveLength(2);
  });
});

describe("damage", () => {
  it("anywhere before a ledger's last record is named by file and record, and nothing is appended behind it", async () => {
    const whole = await filled(5);
    const lineBytes = ((await whole.size(SEGMENT)) ?? 0) / 5;
    for (let record = 0; record < 4; record++)
      for (const offset of [0, 8, 9, 10, 60, lineBytes - 1]) {
        const disk = await filled(5);
        disk.flip(SEGMENT, record * lineBytes + offset);
        const storage = await openFileStorage(disk, "store");
        await expect(collect(storage.ledger.read("a")), `byte ${offset} of record ${record}`).rejects.toMatchObject({
          name: "StorageFault",
          code: "damaged",
          message: expect.stringContaining(`${SEGMENT}: record ${record} does not match its checksum`),
        });
        await expect(storage.ledger.append("a", [exampleRecord(5)], "durable")).rejects.toMatchObject({ code: "damaged" });
        await storage.close();
      }
  });

  it("within the last batch is damage too: flipped bits are no power cut", async () => {
    const disk = new MemoryDisk();
    const storage = await openFileStorage(disk, "store");
    await storage.ledger.append("a", [exampleRecord(0), exampleRecord(1), exampleRecord(2)], "durable");
    await storage.close();
    disk.flip(SEGMENT, Math.floor(((await disk.size(SEGMENT)) ?? 0) / 2));
    const again = await openFileStorage(disk, "store");
    expect(again.recovered).toEqual([]);
    await expect(collect(again.ledger.read("a"))).rejects.toMatchObject({ code: "damaged", message: expect.stringContaining("record 1") });
  });

  it("of one run leaves the others usable", async () => {
    const disk = await filled(5);
    disk.flip(SEGMENT, 40);
    const storage = await openFileStorage(disk, "store");
    await storage.ledger.append("b", [exampleRecord(0)], "durable");
    expect(await collect(storage.ledger.read("b"))).toHaveLength(1);
  });

  it("of a segment that is missing is noticed", async () => {
    const disk = new MemoryDisk();
    const storage = await openFileStorage(disk, "store", { ledgerSegmentBytes: 300 });
    for (let seq = 0; seq < 12; seq++) await storage.ledger.append("a", [exampleRecord(seq)], "durable");
    await storage.close();
    const names = await disk.list("store/ledger/a");
    expect(names.length).toBeGreaterThan(3);
    await disk.unlink(`store/ledger/a/${names[1]}`);
    const again = await openFileStorage(disk, "store");
    await expect(collect(again.ledger.read("a"))).rejects.toMatchObject({ code: "damaged" });
  });

  it("of a blob or a contribution is noticed when it is read", async () => {
    const disk = new MemoryDisk();
    const storage = await openFileStorage(disk, "store");
    const bytes = bytesOf(500, 1);
    const ref = await storage.blobs.put(bytes);
    await storage.contributions.put("a", ref.sha256, bytes);
    await storage.ledger.append("a", [exampleRecord(0)], "durable");
    disk.flip(`store/blobs/${ref.sha256.slice(0, 2)}/${ref.sha256.slice(2, 4)}/${ref.sha256}`, 17);
    disk.flip("store/contributions/a/00000000.seg", 300);
    await expect(storage.blobs.get(ref.sha256)).rejects.toMatchObject({ code: "damaged", message: expect.stringContaining(ref.sha256) });
    await expect(storage.contributions.get("a", ref.sha256)).rejects.toMatchObject({ code: "damaged" });
  });

  it("of a contribution's header is told from a torn end by what follows", async () => {
    const make = async (): Promise<{ readonly disk: MemoryDisk; readonly names: string[] }> => {
      const disk = new MemoryDisk();
      const storage = await openFileStorage(disk, "store");
      const names: string[] = [];
      for (let seq = 0; seq < 3; seq++) {
        const bytes = bytesOf(100, seq);
        names.push(await sha256(bytes));
        await storage.contributions.put("a", names[seq] ?? "", bytes);
        await storage.ledger.append("a", [exampleRecord(seq)], "durable");
      }
      await storage.close();
      return { disk, names };
    };
    const middle = await make();
    middle.disk.flip("store/contributions/a/00000000.seg", 20 + 145 + 10);
    const damaged = await openFileStorage(middle.disk, "store");
    expect(await damaged.contributions.get("a", middle.names[0] ?? "")).toEqual(bytesOf(100, 0));
    await expect(damaged.contributions.get("a", middle.names[1] ?? "")).rejects.toMatchObject({ code: "damaged" });

    const end = await make();
    await cutOff(end.disk, "store/contributions/a/00000000.seg", 30);
    const torn = await openFileStorage(end.disk, "store");
    expect(torn.recovered).toEqual([expect.stringContaining("The contributions of a ended in an incomplete record")]);
    expect(await torn.contributions.get("a", end.names[2] ?? "")).toBeNull();
    expect(await torn.contributions.get("a", end.names[1] ?? "")).toEqual(bytesOf(100, 1));
  });
});

describe("a disk that turns read-only in the middle", () => {
  it("never writes a record without the contribution that it names, not even in a later commit", async () => {
    const disk = new MemoryDisk();
    const storage = await openFileStorage(disk, "store", { schedule: () => () => undefined });
    await storage.ledger.append("a", [exampleRecord(0)], "durable");
    const bytes = bytesOf(400, 3);
    const name = await sha256(bytes);
    await storage.contributions.put("a", name, bytes);
    await storage.ledger.append("a", [exampleRecord(1)], "durable");
    const lost = bytesOf(300, 4);
    const lostName = await sha256(lost);
    await storage.contributions.put("a", lostName, lost);
    disk.readOnly = true;
    await expect(storage.ledger.append("a", [exampleRecord(2)], "durable")).rejects.toMatchObject({ code: "unavailable" });
    disk.readOnly = false;
    await expect(storage.ledger.append("a", [exampleRecord(3)], "durable")).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("until Weft is started again"),
    });
    // Another run is not held up.
    await storage.ledger.append("b", [exampleRecord(0)], "durable");
    disk.powerOn("killed");
    const again = await openFileStorage(disk, "store");
    expect(await collect(again.ledger.read("a"))).toEqual([0, 1].map((seq) => exampleRecord(seq)));
    expect(await again.contributions.get("a", name)).toEqual(bytes);
  });
});

describe("a full disk", () => {
  it("withdraws the promise, keeps the order, and goes on when there is room", async () => {
    const disk = new MemoryDisk();
    const storage = await openFileStorage(disk, "store", { schedule: () => () => undefined });
    await storage.ledger.append("a", [exampleRecord(0)], "durable");
    disk.capacityBytes = 600;
    const bytes = bytesOf(400, 3);
    const name = await sha256(bytes);
    await storage.contributions.put("a", name, bytes);
    await expect(storage.ledger.append("a", [exampleRecord(1)], "durable")).rejects.toMatchObject({
      code: "disk-full",
      message: expect.stringContaining("The disk is full"),
    });
    await expect(storage.blobs.put(bytes)).rejects.toMatchObject({ code: "disk-full" });
    expect(await collect(storage.ledger.read("a"))).toHaveLength(2);
    disk.capacityBytes = 10_000;
    await storage.ledger.append("a", [exampleRecord(2)], "durable");
    disk.powerOn("lost");
    const again = await openFileStorage(disk, "store");
    expect(await collect(again.ledger.read("a"))).toEqual([0, 1, 2].map((seq) => exampleRecord(seq)));
    expect(await again.contributions.get("a", name)).toEqual(bytes);
    expect(await disk.list("store/blobs/drafts")).toEqual([]);
  });
});

describe("opening", () => {
  it("says in one sentence that the folder is read-only, in use, or of another format", async () => {
    const readOnly = new MemoryDisk();
    readOnly.readOnly = true;
    await expect(openFileStorage(readOnly, "store")).rejects.toMatchObject({
      code: "unavailable",
      message: "Using the data folder store is not possible (the file system is read-only).",
    });
    const disk = new MemoryDisk();
    const first = await openFileStorage(disk, "store");
    await expect(openFileStorage(disk, "store")).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("The data folder store is in use by another Weft process"),
    });
    await first.close();
    await cutOff(disk, "store/format", 2);
    await add(disk, "store/format", new TextEncoder().encode("9\n"));
    await expect(openFileStorage(disk, "store")).rejects.toMatchObject({
      code: "damaged",
      message: expect.stringContaining('the format "weft-storage/9"'),
    });
  });
});

describe("group commit", () => {
  it("shares one sync among all that wait, contributions first", async () => {
    const disk = new MemoryDisk();
    const storage = await openFileStorage(disk, "store");
    await storage.ledger.append("a", [exampleRecord(0)], "durable");
    const before = disk.log.length;
    const work: Promise<void>[] = [];
    for (let seq = 1; seq <= 200; seq++) {
      const bytes = bytesOf(50, seq);
      work.push(
        storage.contributions.put("a", seq.toString(16).padStart(64, "0"), bytes),
        storage.ledger.append("a", [exampleRecord(seq)], "durable"),
      );
    }
    await Promise.all(work);
    const log = disk.log.slice(before);
    expect(log.filter((line) => line.startsWith("datasync store/ledger"))).toHaveLength(1);
    expect(log.filter((line) => line.startsWith("datasync store/contributions"))).toHaveLength(2);
    expect(log.findLastIndex((line) => line.startsWith("datasync store/contributions"))).toBeLessThan(
      log.findIndex((line) => line.startsWith("append") && line.includes("ledger")),
    );
  });

  it("leaves buffered records in memory until the flush is due, a second later", async () => {
    const disk = new MemoryDisk();
    const due: { readonly ms: number; readonly work: () => void }[] = [];
    const schedule = (ms: number, work: () => void) => {
      due.push({ ms, work });
      return () => undefined;
    };
    const storage = await openFileStorage(disk, "store", { schedule });
    await storage.ledger.append("a", [exampleRecord(0)], "buffered");
    await storage.ledger.append("a", [exampleRecord(1)], "buffered");
    expect(await disk.size(SEGMENT)).toBeNull();
    expect(due.map(({ ms }) => ms)).toEqual([1_000]);
    due[0]?.work();
    await expect.poll(() => disk.size(SEGMENT)).toBeGreaterThan(200);
  });
});

describe("reading a part of a ledger", () => {
  /** A disk that counts the bytes read from ledgers, and how many looks are under way at once. */
  const counting = (disk: MemoryDisk) => {
    const counts = { bytes: 0, largest: 0, now: 0, most: 0 };
    const readRange = disk.readRange.bind(disk);
    disk.readRange = async (path, start, end) => {
      counts.most = Math.max(counts.most, ++counts.now);
      await new Promise((resolve) => setImmediate(resolve));
      const bytes = await readRange(path, start, end).finally(() => counts.now--);
      counts.bytes += bytes.length;
      counts.largest = Math.max(counts.largest, bytes.length);
      return bytes;
    };
    return counts;
  };
  const firstFrom = async (records: AsyncIterable<LedgerRecord>): Promise<number> => {
    for await (const { seq } of records) return seq;
    return -1;
  };
  const large = async (options: FileStorageOptions) => {
    const disk = new MemoryDisk();
    const storage = await openFileStorage(disk, "store", options);
    for (let seq = 0; seq < 20_000; seq += 500)
      await storage.ledger.append(
        "a",
        Array.from({ length: 500 }, (_, index) => exampleRecord(seq + index)),
        "durable",
      );
    return { disk, storage };
  };

  it.each([
    ["that this process wrote", false],
    ["of an earlier process", true],
  ])("touches about a page of a segment %s, wherever the part is", async (_, reopened) => {
    const { disk, storage: first } = await large({});
    if (reopened) await first.close();
    const storage = reopened ? await openFileStorage(disk, "store") : first;
    expect(await disk.size(SEGMENT)).toBeGreaterThan(3_000_000);
    for (const from of [0, 1, 63, 64, 10_000, 19_999]) {
      const counts = counting(disk);
      expect(await firstFrom(storage.ledger.read("a", from))).toBe(from);
      expect(counts.bytes).toBeLessThanOrEqual(64 * 1024);
    }
  });

  it("in an older segment of an earlier process passes over it once, in pieces, and then knows the way", async () => {
    const { disk, storage } = await large({ ledgerSegmentBytes: 1_500_000 });
    await storage.close();
    expect((await disk.list("store/ledger/a")).length).toBeGreaterThan(2);
    const again = await openFileStorage(disk, "store");
    const counts = counting(disk);
    expect(await firstFrom(again.ledger.read("a", 7_000))).toBe(7_000);
    expect(counts.largest).toBeLessThanOrEqual(128 * 1024);
    const once = counts.bytes;
    for (const from of [7_000, 6_999, 130, 3_333]) expect(await firstFrom(again.ledger.read("a", from))).toBe(from);
    expect(counts.bytes - once).toBeLessThanOrEqual(4 * 64 * 1024);
    expect((await collect(again.ledger.read("a"))).map(({ seq }) => seq)).toEqual(Array.from({ length: 20_000 }, (_, seq) => seq));
    expect(counts.largest).toBeLessThanOrEqual(128 * 1024);
  });

  it("gives a record that is longer than a piece whole", async () => {
    const disk = new MemoryDisk();
    const storage = await openFileStorage(disk, "store");
    const records = [exampleRecord(0), exampleRecord(1, "x".repeat(700_000)), exampleRecord(2)];
    await storage.ledger.append("a", records, "durable");
    expect(await collect(storage.ledger.read("a"))).toEqual(records);
    expect(await collect(storage.ledger.read("a", 2))).toEqual(records.slice(2));
  });

  it("gives way to appends: readers look one at a time, and let a commit that is under way end first", async () => {
    const { disk, storage } = await large({});
    await new Promise((resolve) => setImmediate(resolve));
    const openAppend = disk.openAppend.bind(disk);
    let sync = (): void => undefined;
    disk.openAppend = async (path) => {
      const file = await openAppend(path);
      return { ...file, datasync: () => new Promise<void>((resolve) => (sync = resolve)).then(() => file.datasync()) };
    };
    // A new run, so that its file is opened with the slow sync.
    const appended = storage.ledger.append("b", [exampleRecord(0)], "durable");
    const counts = counting(disk);
    const reads = Array.from({ length: 40 }, (_, index) => firstFrom(storage.ledger.read("a", 400 * index)));
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(counts).toMatchObject({ bytes: 0, now: 0 });
    sync();
    await appended;
    expect(await Promise.all(reads)).toEqual(Array.from({ length: 40 }, (_, index) => 400 * index));
    expect(counts.most).toBe(1);
  });
});

describe("contributions that are dropped", () => {
  it("give their room back a segment at a time, once nothing in it is kept and it takes no more", async () => {
    const disk = new MemoryDisk();
    const options: FileStorageOptions = { contributionSegmentBytes: 1_000 };
    let storage = await openFileStorage(disk, "store", options);
    const names: string[] = [];
    for (let seed = 0; seed < 5; seed += 1) {
      const bytes = bytesOf(600, seed);
      names.push(await sha256(bytes));
      await storage.contributions.put("a", names[seed] as string, bytes);
      await storage.ledger.append("a", [exampleRecord(seed)], "durable");
    }
    const segments = async (): Promise<number> => (await disk.list("store/contributions/a")).length;
    expect(await segments()).toBe(3);
    await storage.contributions.drop("a", names.slice(0, 1));
    expect(await segments()).toBe(3);
    await storage.contributions.drop("a", names.slice(1, 2));
    expect(await segments()).toBe(2);
    await storage.contributions.drop("a", names.slice(4));
    expect(await segments()).toBe(2);
    await storage.close();
    storage = await openFileStorage(disk, "store", options);
    expect(storage.recovered).toEqual([]);
    expect(await Promise.all(names.map(async (name) => (await storage.contributions.get("a", name)) !== null))).toEqual([
      false,
      false,
      true,
      true,
      true,
    ]);
    await storage.contributions.put("a", names[0] as string, bytesOf(600, 0));
    await storage.ledger.append("a", [exampleRecord(5)], "durable");
    expect(await storage.contributions.get("a", names[0] as string)).toEqual(bytesOf(600, 0));
    await storage.close();
  });
});
