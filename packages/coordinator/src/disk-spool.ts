// Unfinished uploads as temporary files in the data folder: the event loop appends, the computing thread reads. Beside the bytes of each
// upload lies the line with which it began, so that a later process can go on with it. Nothing is synced: the core finds out what a power cut
// spoiled. Knows nothing of what the bytes mean; the core holds the cap.
import { type Disk, toFault } from "@weft/storage";
import type { UploadSpool } from "./upload-spool.ts";

const BYTES = ".part";
const ABOUT = ".begun";

/** In `folder`, which is made with the first upload. */
export function diskSpool(disk: Disk, folder: string): UploadSpool {
  const fileOf = (name: string, ending: string): string => {
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
  const append = async (path: string, bytes: Uint8Array): Promise<void> => {
    const file = await disk.openAppend(path);
    try {
      await file.append(bytes);
    } finally {
      await file.close();
    }
  };
  const truncate = async (path: string, sizeBytes: number): Promise<void> => {
    const file = await disk.openAppend(path);
    try {
      await file.truncate(sizeBytes);
    } finally {
      await file.close();
    }
  };
  const whole = (path: string): Promise<Uint8Array> => disk.readRange(path, 0, Number.MAX_SAFE_INTEGER);
  return {
    left: () =>
      guarded("Reading unfinished uploads", async () => {
        const files = await disk.list(folder);
        const names = files.filter((file) => file.endsWith(ABOUT)).map((file) => file.slice(0, -ABOUT.length));
        const known = new Set(names.flatMap((name) => [`${name}${ABOUT}`, `${name}${BYTES}`]));
        for (const file of files) if (!known.has(file)) await disk.unlink(`${folder}/${file}`);
        const found = [];
        for (const name of names) {
          const about = new TextDecoder().decode(await whole(fileOf(name, ABOUT)));
          found.push({ name, about, sizeBytes: (await disk.size(fileOf(name, BYTES))) ?? 0 });
        }
        return found;
      }),
    begin: (name, about) =>
      guarded("Beginning an upload", async () => {
        await disk.makeFolder(folder);
        await truncate(fileOf(name, ABOUT), 0);
        await append(fileOf(name, ABOUT), new TextEncoder().encode(about));
      }),
    append: (name, bytes) => guarded("Taking in an upload", () => append(fileOf(name, BYTES), bytes)),
    cut: (name, sizeBytes) => guarded("Taking in an upload", () => truncate(fileOf(name, BYTES), sizeBytes)),
    read: (name) => guarded("Reading an upload", () => whole(fileOf(name, BYTES))),
    drop: (name) =>
      guarded("Removing an upload", async () => {
        await disk.unlink(fileOf(name, ABOUT));
        await disk.unlink(fileOf(name, BYTES));
      }),
  };
}
