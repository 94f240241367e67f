// What the real disk asks of the system: each promise of the Disk interface against the calls that keep it.
import * as nodeFiles from "node:fs/promises";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FileSystem, nodeDisk } from "./node-disk.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-calls-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** The real file system, with a list of what was asked of it. */
const watched = (short = false) => {
  const calls: string[] = [];
  const name = (path: unknown): string => String(path).slice(folder.length + 1) || ".";
  const open: FileSystem["open"] = async (path, flags, mode) => {
    const handle = await nodeFiles.open(path, flags, mode);
    calls.push(`open ${name(path)} ${String(flags)}`);
    return new Proxy(handle, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          calls.push(`${String(key)} ${name(path)}`);
          // Systems may write less than they were given.
          if (short && key === "write") return target.write(args[0] as Uint8Array, args[1] as number, Math.min(3, args[2] as number));
          return value.apply(target, args);
        };
      },
    });
  };
  return { calls, disk: nodeDisk({ ...nodeFiles, open }) };
};

test("datasync of a file is the system's, on the handle that wrote", async () => {
  const { calls, disk } = watched();
  const file = await disk.openAppend(join(folder, "a"));
  await file.append(new Uint8Array([1, 2, 3]));
  await file.datasync();
  await file.close();
  expect(calls).toEqual(["open a a", "write a", "datasync a", "close a"]);
});

test.runIf(process.platform !== "win32")("a folder is synced by a handle of the folder itself", async () => {
  const { calls, disk } = watched();
  await disk.syncFolder(folder);
  expect(calls).toEqual(["open . r", "sync .", "close ."]);
});

test("an append goes on where the system wrote only a part", async () => {
  const { calls, disk } = watched(true);
  const file = await disk.openAppend(join(folder, "a"));
  await file.append(Uint8Array.from({ length: 10 }, (_, at) => at));
  await file.close();
  expect(calls.filter((call) => call.startsWith("write"))).toHaveLength(4);
  expect([...(await disk.readRange(join(folder, "a"), 0, 20))]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test("a failed sync is an error, not a promise", async () => {
  const open: FileSystem["open"] = async (path, flags, mode) => {
    const handle = await nodeFiles.open(path, flags, mode);
    const fail = () => Promise.reject(Object.assign(new Error("EIO: i/o error"), { code: "EIO" }));
    return Object.assign(handle, { datasync: fail, sync: fail });
  };
  const disk = nodeDisk({ ...nodeFiles, open });
  const file = await disk.openAppend(join(folder, "a"));
  await expect(file.datasync()).rejects.toMatchObject({ name: "DiskError", kind: "broken" });
  await file.close();
  if (process.platform !== "win32") await expect(disk.syncFolder(folder)).rejects.toMatchObject({ kind: "broken" });
});

test.runIf(process.platform !== "win32")("files and folders are their owner's alone", async () => {
  const disk = nodeDisk();
  await disk.makeFolder(join(folder, "new"));
  const file = await disk.openAppend(join(folder, "new", "a"));
  await file.close();
  const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;
  expect(await modeOf(join(folder, "new"))).toBe(0o700);
  expect(await modeOf(join(folder, "new", "a"))).toBe(0o600);
});
