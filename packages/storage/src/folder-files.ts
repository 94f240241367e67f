// Small named files in one folder, each replaced at once and durably, or not at all. Knows nothing of what they hold.
import { type Disk, parentOf } from "./disk.ts";
import { toFault } from "./faults.ts";

export interface FolderFiles {
  /** Sorted; empty where there is no folder. */
  names(): Promise<readonly string[]>;
  /** What was read once stays: also what a process wrote that was killed before it could sync the folder. Null where there is none. */
  read(name: string): Promise<Uint8Array | null>;
  write(name: string, bytes: Uint8Array): Promise<void>;
}

const DRAFT = ".draft";

/** Names must not hold a slash. */
export const folderFiles = (disk: Disk, folder: string): FolderFiles => {
  const pathOf = (name: string): string => {
    if (!/^[^/\\\0]{1,200}$/.test(name) || name.startsWith(".") || name.endsWith(DRAFT)) throw new RangeError(`not a file's name: ${name}`);
    return `${folder}/${name}`;
  };
  const guarded = async <T>(doing: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw toFault(error, doing);
    }
  };
  let synced: Promise<void> | null = null;
  const syncOnce = (): Promise<void> => {
    synced ??= disk.syncFolder(folder).then(() => disk.syncFolder(parentOf(folder)));
    synced.catch(() => {
      synced = null;
    });
    return synced;
  };
  return {
    names: () => guarded(`Reading ${folder}`, async () => (await disk.list(folder)).filter((name) => !name.endsWith(DRAFT))),
    read: (name) =>
      guarded(`Reading ${pathOf(name)}`, async () => {
        const size = await disk.size(pathOf(name));
        if (size === null) return null;
        await syncOnce();
        return disk.readRange(pathOf(name), 0, size);
      }),
    write: (name, bytes) =>
      guarded(`Writing ${pathOf(name)}`, async () => {
        const draft = `${pathOf(name)}${DRAFT}`;
        await disk.makeFolder(folder);
        await syncOnce();
        await disk.unlink(draft);
        const file = await disk.openAppend(draft);
        try {
          await file.append(bytes);
          await file.datasync();
        } finally {
          await file.close();
        }
        await disk.rename(draft, pathOf(name));
        await disk.syncFolder(folder);
      }),
  };
};
