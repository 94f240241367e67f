// Contributions that are moved into the store as the files in which they came: found again, dropped, refused, and never half there.
import { describe, expect, it } from "vitest";
import { sha256 } from "./checksum.ts";
import { exampleRecord } from "./conformance.ts";
import { type Disk, DiskError } from "./disk.ts";
import { openFileStorage } from "./files.ts";
import { MemoryDisk } from "./memory-disk.ts";

const bytes = Uint8Array.from({ length: 5_000 }, (_, at) => (at * 31) & 255);
const NAME = await sha256(bytes);
const PART = "spool/one.part";
const OWN = `store/contributions/a/${NAME}`;

const uploaded = async (disk: Disk): Promise<void> => {
  await disk.makeFolder("spool");
  const file = await disk.openAppend(PART);
  await file.append(bytes);
  await file.close();
};
const opened = async (disk: MemoryDisk) => {
  await uploaded(disk);
  return openFileStorage(disk, "store");
};

describe("a contribution that is moved into the store", () => {
  it("is on disk at once, is not in its old place, and is found by a later process", async () => {
    const disk = new MemoryDisk();
    const { contributions } = await opened(disk);
    await contributions.adopt("a", NAME, PART, bytes.length);
    expect([await disk.size(PART), await disk.size(OWN)]).toEqual([null, bytes.length]);
    disk.powerOn("lost");
    const later = await openFileStorage(disk, "store");
    expect(await later.contributions.get("a", NAME)).toEqual(bytes);
    expect(later.recovered).toEqual([]);
  });

  it("stays where it is if the same one is there already", async () => {
    const disk = new MemoryDisk();
    const storage = await opened(disk);
    await storage.contributions.put("a", NAME, bytes);
    await storage.contributions.adopt("a", NAME, PART, bytes.length);
    await storage.ledger.append("a", [exampleRecord(0)], "durable");
    await storage.contributions.adopt("a", NAME, PART, bytes.length);
    expect([await disk.size(PART), await disk.size(OWN)]).toEqual([bytes.length, null]);
    await storage.contributions.adopt("b", NAME, PART, bytes.length);
    expect(await disk.size(PART)).toBeNull();
  });

  it("gives its room back as soon as it is dropped, and may come again", async () => {
    const disk = new MemoryDisk();
    const { contributions } = await opened(disk);
    await contributions.adopt("a", NAME, PART, bytes.length);
    await contributions.drop("a", [NAME]);
    expect([await disk.size(OWN), await contributions.get("a", NAME)]).toEqual([null, null]);
    await uploaded(disk);
    await contributions.adopt("a", NAME, PART, bytes.length);
    expect(await contributions.get("a", NAME)).toEqual(bytes);
  });

  it("is refused unless there is a file of just that length", async () => {
    const disk = new MemoryDisk();
    const { contributions } = await opened(disk);
    for (const [path, length] of [
      ["spool/none.part", bytes.length],
      [PART, bytes.length - 1],
      [PART, bytes.length + 1],
    ] as const)
      await expect(contributions.adopt("a", NAME, path, length)).rejects.toMatchObject({ name: "StorageFault", code: "unavailable" });
    expect([await disk.size(PART), await disk.size(OWN), await contributions.get("a", NAME)]).toEqual([bytes.length, null, null]);
  });

  it("is noticed when its bytes have changed", async () => {
    const disk = new MemoryDisk();
    const { contributions } = await opened(disk);
    await contributions.adopt("a", NAME, PART, bytes.length);
    disk.flip(OWN, 77);
    await expect(contributions.get("a", NAME)).rejects.toMatchObject({ code: "damaged" });
  });

  it("is not trusted, and nothing more of its run is taken, once a sync of it failed: the next one would say that all is well", async () => {
    for (const failing of ["the file", "the folder"] as const) {
      const disk = new MemoryDisk();
      let fails = false;
      const fail = (): Promise<never> => Promise.reject(new DiskError("broken", "the disk is broken"));
      const { openAppend, syncFolder } = disk;
      disk.openAppend = async (path) => {
        const file = await openAppend.call(disk, path);
        return { ...file, datasync: () => (fails && failing === "the file" && path === PART ? fail() : file.datasync()) };
      };
      disk.syncFolder = (path) => (fails && failing === "the folder" && path.endsWith("/a") ? fail() : syncFolder.call(disk, path));
      await uploaded(disk);
      const storage = await openFileStorage(disk, "store");
      fails = true;
      await expect(storage.contributions.adopt("a", NAME, PART, bytes.length)).rejects.toThrow("broken");
      fails = false;
      await expect(storage.contributions.adopt("a", NAME, PART, bytes.length)).rejects.toMatchObject({ code: "unavailable" });
      expect([await disk.size(PART), await disk.size(OWN)]).toEqual([null, null]);
    }
  });
});
