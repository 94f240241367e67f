// A disk that is only looked at: what opening a storage would mend, make or sync is left as it is. Only the lock is really taken, so that no
// coordinator starts meanwhile; where even that cannot be written, nobody else can write either.
import { type Disk, DiskError } from "@weft/storage";

const nothing = (): Promise<void> => Promise.resolve();

export const readOnlyDisk = (disk: Disk): Disk => ({
  ...disk,
  makeFolder: nothing,
  unlink: nothing,
  syncFolder: nothing,
  rename: (from) => Promise.reject(new DiskError("denied", `${from}: it is only read`)),
  openAppend: (path) =>
    Promise.resolve({
      append: () => Promise.reject(new DiskError("denied", `${path}: it is only read`)),
      datasync: nothing,
      truncate: nothing,
      close: nothing,
    }),
  lock: (path) =>
    disk.lock(path).catch((error: unknown) => {
      if (error instanceof DiskError && error.kind === "denied") return { note: null, release: nothing };
      throw error;
    }),
});
