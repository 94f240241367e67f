// A disk that does not carry out some of the syncs it is asked for, and says that it did. Knows no format but the paths' first folders.
import type { Disk } from "../disk.ts";

export interface SyncCall {
  readonly kind: "file" | "folder";
  readonly path: string;
  /** Of a file: how many syncs its handle has been asked for before. */
  readonly earlier: number;
  /** Of a file: whether opening it made it. */
  readonly made: boolean;
}

/** `asked` is told every sync that is asked for. */
export const forgetfulDisk = (
  disk: Disk,
  forgets: (call: SyncCall) => boolean,
  asked: (call: SyncCall) => void = () => undefined,
): Disk => {
  const sync = async (call: SyncCall, work: () => Promise<void>): Promise<void> => {
    asked(call);
    if (!forgets(call)) await work();
  };
  return {
    makeFolder: (path) => disk.makeFolder(path),
    openAppend: async (path) => {
      const made = (await disk.size(path)) === null;
      const file = await disk.openAppend(path);
      let earlier = 0;
      return {
        append: (bytes) => file.append(bytes),
        datasync: () => sync({ kind: "file", path, earlier: earlier++, made }, () => file.datasync()),
        truncate: (sizeBytes) => file.truncate(sizeBytes),
        close: () => file.close(),
      };
    },
    size: (path) => disk.size(path),
    readRange: (path, start, end) => disk.readRange(path, start, end),
    list: (folder) => disk.list(folder),
    rename: (from, to) => disk.rename(from, to),
    unlink: (path) => disk.unlink(path),
    syncFolder: (path) => sync({ kind: "folder", path, earlier: 0, made: false }, () => disk.syncFolder(path)),
    lock: (path) => disk.lock(path),
  };
};
