// The spool on a disk: what a later process finds of the uploads of an earlier one, whatever was cut off when.
import { createHash } from "node:crypto";
import { DiskError, MemoryDisk, openFileStorage } from "@weft/storage";
import { expect, test } from "vitest";
import { diskSpool } from "./disk-spool.ts";
import { LocalCompute } from "./local-compute.ts";

const bytesOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => (at * 7) & 255);

test("holds bytes by name, cuts them, and forgets them", async () => {
  const disk = new MemoryDisk();
  const spool = diskSpool(disk, "data/spool");
  expect(await spool.left()).toEqual([]);
  await spool.begin("run.0.1.1.1", "about one");
  await spool.append("run.0.1.1.1", bytesOf(100));
  await spool.append("run.0.1.1.1", bytesOf(50));
  await spool.cut("run.0.1.1.1", 120);
  expect(await spool.read("run.0.1.1.1")).toEqual(Uint8Array.from([...bytesOf(100), ...bytesOf(20)]));
  await spool.drop("run.0.1.1.1");
  await spool.drop("run.0.1.1.1");
  expect(await disk.list("data/spool")).toEqual([]);
});

test("a later process finds what was begun, and removes what belongs to nothing", async () => {
  const disk = new MemoryDisk();
  const spool = diskSpool(disk, "data/spool");
  await spool.begin("run.0.1.1.1", "about one");
  await spool.append("run.0.1.1.1", bytesOf(100));
  await spool.begin("run.0.2.1.2", "about two");
  await (await disk.openAppend("data/spool/run.0.3.1.3.part")).append(bytesOf(9));
  disk.powerOn("killed");
  const later = diskSpool(disk, "data/spool");
  expect(await later.left()).toEqual([
    { name: "run.0.1.1.1", about: "about one", sizeBytes: 100 },
    { name: "run.0.2.1.2", about: "about two", sizeBytes: 0 },
  ]);
  expect(await disk.list("data/spool")).toEqual(["run.0.1.1.1.begun", "run.0.1.1.1.part", "run.0.2.1.2.begun"]);
});

test("a disk that is full says so by a fault with its code", async () => {
  const disk = new MemoryDisk({ capacityBytes: 60 });
  const spool = diskSpool(disk, "data/spool");
  await spool.begin("run.0.1.1.1", "about one");
  await expect(spool.append("run.0.1.1.1", bytesOf(100))).rejects.toMatchObject({ name: "StorageFault", code: "disk-full" });
  await spool.cut("run.0.1.1.1", 0);
  await spool.append("run.0.1.1.1", bytesOf(10));
  expect(await spool.read("run.0.1.1.1")).toEqual(bytesOf(10));
});

test("names are the core's own", () => {
  return expect(diskSpool(new MemoryDisk(), "data/spool").drop("../coordinator.key")).rejects.toThrow("made by the core");
});

test("files stay open while bytes come, and only so many; whoever was closed goes on where it ended", async () => {
  const disk = new MemoryDisk();
  const { openAppend } = disk;
  let open = 0;
  let opened = 0;
  let most = 0;
  disk.openAppend = async (path) => {
    const file = await openAppend.call(disk, path);
    open += 1;
    opened += 1;
    most = Math.max(most, open);
    return {
      ...file,
      close: async () => {
        open -= 1;
        await file.close();
      },
    };
  };
  const spool = diskSpool(disk, "data/spool");
  const names = Array.from({ length: 80 }, (_, at) => `run.0.${at}.1.${at}`);
  for (const name of names) await spool.begin(name, "about");
  opened = 0;
  for (let chunk = 0; chunk < 3; chunk++) await spool.append(names[0] ?? "", bytesOf(10));
  expect(opened).toBe(1);
  for (let round = 0; round < 2; round++) await Promise.all(names.map((name) => spool.append(name, bytesOf(10))));
  expect(most).toBeLessThan(names.length + 1);
  for (const name of names) await spool.append(name, bytesOf(10));
  expect(open).toBe(32);
  for (const name of names) {
    await spool.end(name);
    expect((await spool.read(name))?.length).toBe(name === names[0] ? 60 : 30);
  }
  expect(open).toBe(0);
});

test("the disk is set to work while bytes come; what it fails to write is never called good", async () => {
  const disk = new MemoryDisk();
  const { openAppend } = disk;
  let syncs = 0;
  disk.openAppend = async (path) => {
    const file = await openAppend.call(disk, path);
    return {
      ...file,
      datasync: () => {
        syncs += 1;
        return syncs === 2 ? Promise.reject(new DiskError("broken", "the disk is broken")) : file.datasync();
      },
    };
  };
  const spool = diskSpool(disk, "data/spool");
  const name = "run.0.1.1.1";
  await spool.begin(name, "about");
  const chunk = new Uint8Array(8 * 1024 ** 2);
  await spool.append(name, chunk);
  await spool.append(name, chunk.subarray(1));
  expect(syncs).toBe(1);
  await spool.append(name, chunk.subarray(1));
  expect(syncs).toBe(2);
  await expect(spool.end(name)).rejects.toMatchObject({ name: "StorageFault", code: "unavailable" });
  await expect(spool.append(name, chunk)).rejects.toMatchObject({ name: "StorageFault" });
  await expect(spool.cut(name, 0)).rejects.toMatchObject({ name: "StorageFault" });
  await spool.drop(name);
  expect(await disk.list("data/spool")).toEqual([]);
});

test("a large update is moved from the spool into the store, a small one copied; asked again, it is found there", async () => {
  for (const [parameters, moved] of [
    [300_000, true],
    [100, false],
  ] as const) {
    const disk = new MemoryDisk();
    const spool = diskSpool(disk, "data/spool");
    const storage = await openFileStorage(disk, "data/store");
    const compute = new LocalCompute({ storage, spool, evaluate: () => Promise.reject(new Error("nothing is evaluated")) });
    const bytes = new Uint8Array(Float32Array.from({ length: parameters }, (_, at) => at % 7).buffer);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const upload = { name: "run.0.1.1.1", run: "run", sha256, codec: "f32", parameters };
    await spool.begin(upload.name, "about");
    await spool.append(upload.name, bytes);
    await spool.end(upload.name);
    const found = await compute.takeIn(upload);
    expect(found).toMatchObject({ ok: true });
    expect((await spool.read(upload.name)) === null).toBe(moved);
    expect(await compute.takeIn(upload)).toEqual(found);
    expect(Buffer.compare((await storage.contributions.get("run", sha256)) ?? new Uint8Array(0), bytes)).toBe(0);
    await expect(compute.takeIn({ ...upload, name: "run.0.2.1.2", sha256: "0".repeat(64) })).rejects.toThrow("neither");
  }
});
