// The real disk, through Node. The only file of this package that touches node:*. Knows no format.
import { randomUUID } from "node:crypto";
import * as nodeFiles from "node:fs/promises";
import { hostname } from "node:os";
import { type Disk, DiskError, type DiskErrorKind, type DiskFile, type DiskLock } from "./disk.ts";

const KINDS: Readonly<Record<string, DiskErrorKind>> = {
  ENOENT: "missing",
  EEXIST: "exists",
  ENOSPC: "full",
  EDQUOT: "full",
  EFBIG: "full",
  EACCES: "denied",
  EPERM: "denied",
  EROFS: "denied",
  ENOTDIR: "denied",
};
const PLAIN: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOTDIR: "a part of the path is a file",
  ENOSPC: "no space left on the disk",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file would be larger than the system allows",
};
const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "");
const diskError = (error: unknown, path: string): DiskError => {
  if (error instanceof DiskError) return error;
  const code = codeOf(error);
  return new DiskError(KINDS[code] ?? "broken", `${path}: ${PLAIN[code] ?? (error instanceof Error ? error.message : String(error))}`);
};
const translate = async <T>(path: string, work: Promise<T>): Promise<T> => {
  try {
    return await work;
  } catch (error) {
    throw diskError(error, path);
  }
};

const writeAll = async (handle: nodeFiles.FileHandle, bytes: Uint8Array): Promise<void> => {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done);
    done += bytesWritten;
  }
};

/** What is used of Node's file system; a test puts its own in place, to see what is really asked of it. */
export type FileSystem = Pick<
  typeof import("node:fs/promises"),
  "link" | "mkdir" | "open" | "readdir" | "readFile" | "rename" | "stat" | "unlink" | "writeFile"
>;

/** What a coordinator keeps is nobody else's: keys are among it. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

const openAppend = async (system: FileSystem, path: string): Promise<DiskFile> => {
  const handle = await translate(path, system.open(path, "a", FILE_MODE));
  return {
    append: (bytes) => translate(path, writeAll(handle, bytes)),
    datasync: () => translate(path, handle.datasync()),
    truncate: (sizeBytes) => translate(path, handle.truncate(sizeBytes)),
    close: () => translate(path, handle.close()),
  };
};

const roomFor = async (handle: nodeFiles.FileHandle, start: number, end: number): Promise<Uint8Array<ArrayBuffer>> => {
  const { size } = await handle.stat();
  return new Uint8Array(Math.max(0, Math.min(end, size) - start));
};

async function readRange<B extends ArrayBufferLike = ArrayBuffer>(
  system: FileSystem,
  path: string,
  start: number,
  end: number,
  room?: Uint8Array<B>,
): Promise<Uint8Array<ArrayBuffer | B>> {
  const handle = await system.open(path, "r");
  try {
    const fits = room !== undefined && end - start <= room.length;
    const bytes: Uint8Array<ArrayBuffer | B> = fits ? room.subarray(0, Math.max(0, end - start)) : await roomFor(handle, start, end);
    let done = 0;
    while (done < bytes.length) {
      const { bytesRead } = await handle.read(bytes, done, bytes.length - done, start + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    if (done === bytes.length) return bytes;
    return fits ? bytes.subarray(0, done) : bytes.slice(0, done);
  } finally {
    await handle.close();
  }
}

// Some systems (Windows) cannot open or sync a folder; there the file system orders renames itself.
const syncFolder = async (system: FileSystem, path: string): Promise<void> => {
  if (process.platform === "win32") return;
  const handle = await system.open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** What tells this process from a later one with the same number: when it started, counted from which boot. Empty where unknown. */
  readonly birth: string;
  readonly token: string;
}
/** Of this thread only: each thread has its own copy of this module, so a lock of another thread is known by the process's birth. */
const heldHere = new Set<string>();

/** Linux: field 22 of /proc/PID/stat (proc(5)) counts clock ticks from boot to the start of the process. */
const birthOf = async (system: FileSystem, pid: number): Promise<string> => {
  try {
    const stat = await system.readFile(`/proc/${pid}/stat`, "utf8");
    const boot = (await system.readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
    return `${boot}/${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""}`;
  } catch {
    return "";
  }
};

const alive = async (system: FileSystem, holder: Holder): Promise<boolean> => {
  if (holder.pid === process.pid)
    return heldHere.has(holder.token) || (holder.birth !== "" && holder.birth === (await birthOf(system, process.pid)));
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
  const birth = await birthOf(system, holder.pid);
  return birth === "" || holder.birth === "" || birth === holder.birth;
};

const readHolder = async (system: FileSystem, path: string): Promise<{ readonly text: string; readonly holder: Holder | null } | null> => {
  let text: string;
  try {
    text = await system.readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw diskError(error, path);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return { text, holder: null };
    const { pid, host, birth, token } = value as Partial<Holder>;
    const whole = typeof pid === "number" && typeof host === "string" && typeof birth === "string" && typeof token === "string";
    return { text, holder: whole ? { pid, host, birth, token } : null };
  } catch {
    return { text, holder: null };
  }
};

/**
 * A file that names its holder, created by link (which never replaces). A lock whose process is gone is moved aside and taken; one of
 * another machine cannot be judged from here and is left alone.
 */
const lock = async (system: FileSystem, path: string): Promise<DiskLock> => {
  const token = randomUUID();
  const mine: Holder = { pid: process.pid, host: hostname(), birth: await birthOf(system, process.pid), token };
  const draft = `${path}.${token}`;
  // Not synced: after a power cut its holder is gone, whatever it says.
  await translate(path, system.writeFile(draft, `${JSON.stringify(mine)}\n`, { mode: FILE_MODE }));
  let note: string | null = null;
  try {
    for (let tries = 0; ; tries++) {
      try {
        await system.link(draft, path);
        break;
      } catch (error) {
        if (codeOf(error) !== "EEXIST") throw diskError(error, path);
      }
      const found = await readHolder(system, path);
      if (found === null) continue;
      const { holder } = found;
      if (holder !== null && holder.host !== mine.host)
        throw new DiskError(
          "exists",
          `held by process ${holder.pid} on the machine ${holder.host}; if nothing runs there any more, delete ${path}`,
        );
      if (holder !== null && (await alive(system, holder))) throw new DiskError("exists", `held by process ${holder.pid}`);
      if (tries > 20) throw new DiskError("exists", "held by processes that come and go");
      const aside = `${draft}.old`;
      await system.rename(path, aside).catch((error: unknown) => {
        if (codeOf(error) !== "ENOENT") throw diskError(error, path);
      });
      const moved = await readHolder(system, aside);
      // Another process may have taken the dead lock between our look and our rename: what we moved is then alive, so give it back.
      if (moved !== null && moved.text !== found.text) await system.link(aside, path).catch(() => undefined);
      else note = `The lock of process ${holder?.pid ?? "unknown"}, which has ended, was taken over.`;
      await system.unlink(aside).catch(() => undefined);
    }
  } finally {
    await system.unlink(draft).catch(() => undefined);
  }
  heldHere.add(token);
  return {
    note,
    release: async () => {
      heldHere.delete(token);
      const found = await readHolder(system, path);
      if (found?.holder?.token === token) await translate(path, system.unlink(path));
    },
  };
};

/** Paths are those of the process: absolute, or relative to its working folder. */
export const nodeDisk = (system: FileSystem = nodeFiles): Disk => ({
  makeFolder: async (path) => {
    await translate(path, system.mkdir(path, { recursive: true, mode: FOLDER_MODE }));
  },
  openAppend: (path) => openAppend(system, path),
  size: async (path) => {
    try {
      const found = await system.stat(path);
      return found.isFile() ? found.size : null;
    } catch (error) {
      if (codeOf(error) === "ENOENT") return null;
      throw diskError(error, path);
    }
  },
  readRange: (path, start, end, room) => translate(path, readRange(system, path, start, end, room)),
  list: async (folder) => {
    try {
      return (await system.readdir(folder)).sort();
    } catch (error) {
      if (codeOf(error) === "ENOENT") return [];
      throw diskError(error, folder);
    }
  },
  rename: (from, to) => translate(to, system.rename(from, to)),
  unlink: async (path) => {
    try {
      await system.unlink(path);
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw diskError(error, path);
    }
  },
  syncFolder: (path) => translate(path, syncFolder(system, path)),
  lock: (path) => lock(system, path),
});
