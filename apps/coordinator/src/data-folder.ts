// The folder that holds everything a coordinator keeps: made, checked to be writable, held by one process at a time.
// Knows nothing of what the files in it mean.
import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, StartError, systemCode } from "./start-error.ts";

export interface DataFolder {
  readonly path: string;
  file(...names: string[]): string;
  /** Text of a secret file, mode 0600; made from 32 random bytes as hexadecimal digits where it does not exist. */
  secret(name: string): Promise<string>;
  release(): Promise<void>;
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === "EPERM";
  }
};

async function lock(file: string, folder: string): Promise<void> {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const handle = await open(file, "wx", 0o600);
      await handle.writeFile(`${process.pid}\n`);
      await handle.close();
      return;
    } catch (error) {
      if (systemCode(error) !== "EEXIST") throw error;
    }
    const owner = Number.parseInt(await readFile(file, "utf8").catch(() => ""), 10);
    if (Number.isInteger(owner) && owner !== process.pid && isAlive(owner))
      throw new StartError(
        "data-in-use",
        `The data folder ${folder} is in use by another coordinator (process ${owner}); stop it or choose another folder with --data.`,
      );
    if (owner === process.pid && held.has(file))
      throw new StartError("data-in-use", `The data folder ${folder} is already in use by this process.`);
    // Left behind by a process that is gone.
    await rm(file, { force: true });
  }
  throw new StartError("data-in-use", `The data folder ${folder} could not be locked; another coordinator is starting there.`);
}
/** Locks of this process, so that a second coordinator in the same process is refused too. */
const held = new Set<string>();

export async function openDataFolder(path: string): Promise<DataFolder> {
  const lockFile = join(path, "coordinator.lock");
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    await lock(lockFile, path);
    held.add(lockFile);
    const probe = join(path, `.probe-${process.pid}`);
    await writeFile(probe, "");
    await rm(probe);
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError("data-unwritable", `The data folder ${path} cannot be written: ${messageOf(error)}.`, { cause: error });
  }
  const file = (...names: string[]): string => join(path, ...names);
  return {
    path,
    file,
    async secret(name) {
      const target = file(name);
      try {
        const text = (await readFile(target, "utf8")).trim();
        if (!/^[0-9a-f]{64}$/.test(text))
          throw new StartError("bad-key", `The key file ${target} does not hold 64 hexadecimal digits; restore it from a copy.`);
        return text;
      } catch (error) {
        if (systemCode(error) !== "ENOENT") throw error;
      }
      const fresh = randomBytes(32).toString("hex");
      const handle = await open(target, "wx", 0o600);
      await handle.writeFile(`${fresh}\n`);
      await handle.sync();
      await handle.close();
      return fresh;
    },
    async release() {
      held.delete(lockFile);
      await rm(lockFile, { force: true });
    },
  };
}
