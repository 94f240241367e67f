// The folder that holds everything a coordinator keeps: made, checked to be writable; and the secrets in it. The storage in it takes the lock
// that keeps a second process out. Knows nothing of what the other files mean.
import { randomBytes } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Disk, folderFiles, StorageFault } from "@weft/storage";
import { messageOf, StartError, systemCode } from "./start-error.ts";

export interface DataFolder {
  readonly path: string;
  file(...names: string[]): string;
  /** Text of a secret file, readable to its owner alone; made from 32 random bytes as hexadecimal digits where it does not exist. */
  secret(name: string): Promise<string>;
  release(): void;
}

/** Folders of this process. The storage's lock keeps other processes out; threads of one process look alike to it. */
const held = new Set<string>();

const PLAIN: Readonly<Record<string, string>> = {
  EEXIST: "there is a file of that name",
  ENOTDIR: "a part of the path is a file",
  EACCES: "this user may not write there",
  EPERM: "this user may not write there",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
};

export async function openDataFolder(path: string, disk: Disk): Promise<DataFolder> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    const probe = join(path, ".probe");
    await writeFile(probe, "");
    await rm(probe, { force: true });
  } catch (error) {
    const why = PLAIN[systemCode(error) ?? ""] ?? messageOf(error);
    throw new StartError("data-unwritable", `The data folder ${path} cannot be written: ${why}.`, { cause: error });
  }
  if (held.has(path)) throw new StartError("data-unwritable", `The data folder ${path} is in use by another coordinator of this process.`);
  held.add(path);
  const file = (...names: string[]): string => join(path, ...names);
  const files = folderFiles(disk, path);
  return { path, file, secret: (name) => secretIn(files, name, file(name)), release: () => void held.delete(path) };
}

/** Written whole or not at all, and durable before it is used: ledgers are signed with one of them. */
async function secretIn(files: ReturnType<typeof folderFiles>, name: string, target: string): Promise<string> {
  const known = await files.read(name).catch((error: unknown) => {
    throw new StartError("bad-key", `The key file ${target} cannot be read: ${messageOf(error)}.`, { cause: error });
  });
  if (known === null) {
    const fresh = randomBytes(32).toString("hex");
    await files.write(name, new TextEncoder().encode(`${fresh}\n`)).catch((error: unknown) => {
      if (!(error instanceof StorageFault)) throw error;
      throw new StartError("data-unwritable", `The key file ${target} cannot be written. ${error.message}`, { cause: error });
    });
    return fresh;
  }
  const text = new TextDecoder().decode(known).trim();
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new StartError("bad-key", `The key file ${target} does not hold 64 hexadecimal digits; restore it from a copy.`);
  return text;
}
