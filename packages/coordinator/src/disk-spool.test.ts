// The spool on a disk: what a later process finds of the uploads of an earlier one, whatever was cut off when.
import { MemoryDisk } from "@weft/storage";
import { expect, test } from "vitest";
import { diskSpool } from "./disk-spool.ts";

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
