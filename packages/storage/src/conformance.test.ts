import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MessageChannel } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { type StorageUnderTest, storageConformance } from "./conformance.ts";
import { type FileStorageOptions, openFileStorage } from "./files.ts";
import type { Storage } from "./interfaces.ts";
import { memoryStorage } from "./memory.ts";
import { MemoryDisk } from "./memory-disk.ts";
import { nodeDisk } from "./node-disk.ts";
import type { MessagePortLike } from "./remote-messages.ts";
import { remoteStorage } from "./remote-storage.ts";
import { serveStorage } from "./serve-storage.ts";

const functions = { describe, it, equal: (found: unknown, wanted: unknown) => expect(found).toEqual(wanted) };
// Small segments, so that the suite crosses from one to the next.
const small: FileStorageOptions = { ledgerSegmentBytes: 20_000, contributionSegmentBytes: 20_000 };

const onFiles = async (open: () => Promise<Storage>, clean: () => Promise<void>): Promise<StorageUnderTest> => {
  let current = await open();
  return {
    storage: current,
    reopen: async () => {
      await current.close();
      current = await open();
      return current;
    },
    destroy: async () => {
      await current.close().catch(() => undefined);
      await clean();
    },
  };
};
const throughPort = async (open: () => Promise<Storage>): Promise<Storage> => {
  const { port1, port2 } = new MessageChannel();
  serveStorage(open(), port1 as unknown as MessagePortLike);
  return remoteStorage(port2 as unknown as MessagePortLike);
};

storageConformance("memory", async () => ({ storage: memoryStorage(), destroy: async () => undefined }), functions);
storageConformance(
  "files on a disk in memory",
  () => {
    const disk = new MemoryDisk();
    return onFiles(
      () => openFileStorage(disk, "data/store", small),
      async () => undefined,
    );
  },
  functions,
);
storageConformance(
  "files on a real disk",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "weft-storage-"));
    return onFiles(
      () => openFileStorage(nodeDisk(), `${folder}/store`, small),
      () => rm(folder, { recursive: true }),
    );
  },
  functions,
);
storageConformance(
  "memory at the other end of a port",
  async () => {
    const storage = await throughPort(async () => memoryStorage());
    return { storage, destroy: () => storage.close().catch(() => undefined) };
  },
  functions,
);
storageConformance(
  "files at the other end of a port",
  () => {
    const disk = new MemoryDisk();
    return onFiles(
      () => throughPort(() => openFileStorage(disk, "store", small)),
      async () => undefined,
    );
  },
  functions,
);
