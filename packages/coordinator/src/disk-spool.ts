// Unfinished uploads as temporary files in the data folder: the event loop appends, the computing thread reads, and the storage may move a whole
// one into its own folders. Beside the bytes of each upload lies the line with which it began, so that a later process can go on with it.
// Knows nothing of what the bytes mean; the core holds the cap.
import { type Disk, DiskError, type DiskFile, toFault } from "@weft/storage";
import type { UploadSpool } from "./upload-spool.ts";

const BYTES = ".part";
const ABOUT = ".begun";

/** Files kept open for who appends next: more than uploads that send at once. */
const MOST_OPEN = 32;
/** The disk is set to work each time so many bytes have come, that little is left to write when the last one is there. */
const SYNC_BYTES = 8 * 1024 ** 2;

interface Open {
  readonly file: DiskFile;
  unsynced: number;
  /** The sync that is under way. */
  syncing: Promise<void>;
  appending: boolean;
}

/** In `folder`, which is made with the first upload. */
export function diskSpool(disk: Disk, folder: string): UploadSpool {
  /** Least recently used first. */
  const files = new Map<string, Open>();
  const closing = new Map<string, Promise<void>>();
  /** Names whose bytes the disk failed to write, and how it said so. It would call the next sync of them good. */
  const failed = new Map<string, unknown>();

  const fileOf = (name: string, ending = BYTES): string => {
    if (!/^[a-z0-9.-]{1,200}$/.test(name) || name.includes("..")) throw new Error(`spool names are made by the core, not ${name}`);
    return `${folder}/${name}${ending}`;
  };
  const guarded = async <T>(doing: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw toFault(error, doing);
    }
  };
  const withFile = async (path: string, work: (file: DiskFile) => Promise<void>): Promise<void> => {
    const file = await disk.openAppend(path);
    try {
      await work(file);
    } finally {
      await file.close();
    }
  };
  const close = async (name: string): Promise<void> => {
    await closing.get(name);
    const open = files.get(name);
    if (open === undefined) return;
    files.delete(name);
    const closed = open.syncing.then(() => open.file.close());
    closing.set(name, closed);
    await closed.finally(() => closing.delete(name));
  };
  /** Its file, marked as in use. */
  const opened = async (name: string): Promise<Open> => {
    const known = files.get(name);
    if (known !== undefined) known.appending = true;
    const open = known ?? { file: await disk.openAppend(fileOf(name)), unsynced: 0, syncing: Promise.resolve(), appending: true };
    files.delete(name);
    files.set(name, open);
    for (const [other, { appending }] of files) {
      if (files.size <= MOST_OPEN) break;
      if (other !== name && !appending) await close(other);
    }
    return open;
  };
  const check = (name: string): void => {
    if (failed.has(name)) throw failed.get(name);
  };
  const append = async (name: string, bytes: Uint8Array): Promise<void> => {
    check(name);
    const open = await opened(name);
    try {
      await open.file.append(bytes);
      open.unsynced += bytes.length;
      if (open.unsynced < SYNC_BYTES) return;
      open.unsynced = 0;
      // One at a time: who sends faster than the disk writes waits here.
      await open.syncing;
      open.syncing = open.file.datasync().catch((error: unknown) => void failed.set(name, error));
    } finally {
      open.appending = false;
    }
  };
  const read = async (
    path: string,
    start = 0,
    end = Number.MAX_SAFE_INTEGER,
    room?: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array | null> => {
    try {
      return await disk.readRange(path, start, end, room);
    } catch (error) {
      if (error instanceof DiskError && error.kind === "missing") return null;
      throw error;
    }
  };
  return {
    left: () =>
      guarded("Reading unfinished uploads", async () => {
        const all = await disk.list(folder);
        const names = all.filter((file) => file.endsWith(ABOUT)).map((file) => file.slice(0, -ABOUT.length));
        const known = new Set(names.flatMap((name) => [`${name}${ABOUT}`, `${name}${BYTES}`]));
        for (const file of all) if (!known.has(file)) await disk.unlink(`${folder}/${file}`);
        const found = [];
        for (const name of names) {
          const about = new TextDecoder().decode((await read(fileOf(name, ABOUT))) ?? new Uint8Array(0));
          found.push({ name, about, sizeBytes: (await disk.size(fileOf(name))) ?? 0 });
        }
        return found;
      }),
    begin: (name, about) =>
      guarded("Beginning an upload", async () => {
        await disk.makeFolder(folder);
        await withFile(fileOf(name, ABOUT), async (file) => {
          await file.truncate(0);
          await file.append(new TextEncoder().encode(about));
        });
      }),
    append: (name, bytes) => guarded("Taking in an upload", () => append(name, bytes)),
    cut: (name, sizeBytes) =>
      guarded("Taking in an upload", async () => {
        check(name);
        await close(name);
        await withFile(fileOf(name), (file) => file.truncate(sizeBytes));
      }),
    end: (name) =>
      guarded("Taking in an upload", async () => {
        await close(name);
        check(name);
      }),
    read: (name, start, end, room) => guarded("Reading an upload", () => read(fileOf(name), start, end, room)),
    fileOf,
    drop: (name) =>
      guarded("Removing an upload", async () => {
        const about = fileOf(name, ABOUT);
        await close(name);
        failed.delete(name);
        await disk.unlink(about);
        await disk.unlink(fileOf(name));
      }),
  };
}
