import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { MessageChannel } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { sha256 } from "./checksum.ts";
import { collect, exampleRecord } from "./conformance.ts";
import { openFileStorage } from "./files.ts";
import { memoryStorage } from "./memory.ts";
import { nodeDisk } from "./node-disk.ts";
import type { MessagePortLike } from "./remote-messages.ts";
import { remoteStorage } from "./remote-storage.ts";
import { serveStorage } from "./serve-storage.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-disk-"));
});
afterEach(() => rm(folder, { recursive: true }));
const lockFile = (): string => join(folder, "lock");
const holder = (pid: number, more: object = {}) => JSON.stringify({ pid, host: hostname(), birth: "", token: "t", ...more });

describe("the lock of a data folder", () => {
  it("keeps a second opening out, names the holder, and is gone after closing", async () => {
    const storage = await openFileStorage(nodeDisk(), folder);
    await expect(openFileStorage(nodeDisk(), folder)).rejects.toMatchObject({
      code: "unavailable",
      message: `The data folder ${folder} is in use by another Weft process (held by process ${process.pid}). Stop it first.`,
    });
    await storage.close();
    expect(await readdir(folder)).not.toContain("lock");
    await (await openFileStorage(nodeDisk(), folder)).close();
  });

  // Threads share a process but not a module: a fresh copy of it stands where another thread would.
  it.runIf(process.platform === "linux")("keeps out another thread of the same process", async () => {
    const storage = await openFileStorage(nodeDisk(), folder);
    vi.resetModules();
    const elsewhere = await import("./node-disk.ts");
    await expect(elsewhere.nodeDisk().lock(lockFile())).rejects.toMatchObject({ kind: "exists" });
    await storage.close();
    await (await elsewhere.nodeDisk().lock(lockFile())).release();
  });

  it("is respected while another process lives, and taken over when it has ended, which is said", async () => {
    const other = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    await once(other, "spawn");
    await writeFile(lockFile(), holder(other.pid ?? 0));
    await expect(openFileStorage(nodeDisk(), folder)).rejects.toThrow(`held by process ${other.pid}`);
    other.kill();
    await once(other, "exit");
    const storage = await openFileStorage(nodeDisk(), folder);
    expect(storage.recovered).toEqual([`The lock of process ${other.pid}, which has ended, was taken over.`]);
    await storage.close();
    expect((await readdir(folder)).filter((name) => name.startsWith("lock"))).toEqual([]);
  });

  it.each([
    ["this process's number, from an earlier life", () => holder(process.pid)],
    ["another process that was given a dead one's number", () => holder(process.ppid, { birth: "earlier boot/1" })],
    ["nobody: the file is cut", () => '{"pid": 1'],
  ])("is taken over from %s", async (_, text) => {
    await writeFile(lockFile(), text());
    const storage = await openFileStorage(nodeDisk(), folder);
    expect(storage.recovered).toHaveLength(1);
    await storage.close();
  });

  it("of another machine is left alone", async () => {
    await writeFile(lockFile(), holder(1, { host: "elsewhere.example" }));
    await expect(openFileStorage(nodeDisk(), folder)).rejects.toThrow("on the machine elsewhere.example");
    expect(await readFile(lockFile(), "utf8")).toContain("elsewhere");
  });

  it("goes to one of many that find it dead at once", async () => {
    await writeFile(lockFile(), holder(process.pid));
    const tries = await Promise.allSettled(Array.from({ length: 8 }, () => openFileStorage(nodeDisk(), folder)));
    const opened = tries.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(opened).toHaveLength(1);
    await opened[0]?.close();
  });
});

describe("a folder that cannot be used", () => {
  it("is named in one sentence", async () => {
    await writeFile(join(folder, "file"), "");
    await expect(openFileStorage(nodeDisk(), `${folder}/file/store`)).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining(`Using the data folder ${folder}/file/store is not possible`),
    });
    // The superuser may write everywhere, so for it there is nothing to see here.
    if (process.getuid?.() === 0) return;
    await chmod(folder, 0o500);
    await expect(openFileStorage(nodeDisk(), `${folder}/store`)).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("permission denied"),
    });
    await chmod(folder, 0o700);
  });
});

describe("a storage at the other end of a port", () => {
  const channel = (): readonly [MessagePortLike, MessagePortLike] => {
    const { port1, port2 } = new MessageChannel();
    return [port1 as unknown as MessagePortLike, port2 as unknown as MessagePortLike];
  };

  it("passes on why it could not be opened", async () => {
    const [near, far] = channel();
    await writeFile(lockFile(), holder(1, { host: "elsewhere.example" }));
    serveStorage(openFileStorage(nodeDisk(), folder), far);
    await expect(remoteStorage(near)).rejects.toMatchObject({
      name: "StorageFault",
      code: "unavailable",
      message: expect.stringContaining("elsewhere.example"),
    });
  });

  it("reads little more of a ledger than is taken from it", async () => {
    const [near, far] = channel();
    const inner = memoryStorage();
    await inner.ledger.append(
      "a",
      Array.from({ length: 1_000 }, (_, seq) => exampleRecord(seq)),
      "durable",
    );
    let given = 0;
    async function* read(run: string, fromSeq?: number) {
      for await (const record of inner.ledger.read(run, fromSeq)) {
        given++;
        yield record;
      }
    }
    serveStorage({ ...inner, ledger: { ...inner.ledger, read } }, far);
    const storage = await remoteStorage(near);
    for await (const { seq } of storage.ledger.read("a", 500)) {
      expect(seq).toBe(500);
      break;
    }
    expect(given).toBeLessThanOrEqual(16);
    expect(await collect(storage.ledger.read("a"))).toHaveLength(1_000);
    await storage.close();
  });

  it("gives a contribution in memory that threads share where that is asked, and only there", async () => {
    const [near, far] = channel();
    serveStorage(openFileStorage(nodeDisk(), folder), far);
    const storage = await remoteStorage(near);
    const bytes = Uint8Array.from({ length: 3_000 }, (_, at) => at * 7);
    const name = await sha256(bytes);
    await storage.contributions.put("a", name, bytes);
    // Before it is on disk and afterwards.
    for (let seq = 0; seq < 2; seq++) {
      for (const [room, kind] of [
        ["shared", SharedArrayBuffer],
        ["own", ArrayBuffer],
        [undefined, ArrayBuffer],
      ] as const) {
        const got = await storage.contributions.get("a", name, room);
        expect([...(got ?? [])]).toEqual([...bytes]);
        expect(got?.buffer).toBeInstanceOf(kind);
      }
      await storage.ledger.append("a", [exampleRecord(seq)], "durable");
    }
    expect(await storage.contributions.get("a", await sha256(new Uint8Array(1)), "shared")).toBeNull();
    await storage.close();
  });

  it("fails every open and later call when the other end goes away", async () => {
    const [near, far] = channel();
    serveStorage({ ...memoryStorage(), blobs: { ...memoryStorage().blobs, put: () => new Promise(() => undefined) } }, far);
    const storage = await remoteStorage(near);
    const hanging = storage.blobs.put(new Uint8Array(3));
    far.close();
    await expect(hanging).rejects.toMatchObject({ code: "unavailable", message: "The storage worker has stopped." });
    await expect(storage.ledger.runs()).rejects.toMatchObject({ code: "unavailable" });
  });

  it("sends no more bytes than it may while answers are due, in the order of the calls", async () => {
    const [near, far] = channel();
    const begun: number[] = [];
    const finish: (() => void)[] = [];
    const slow = memoryStorage();
    const put = (bytes: Uint8Array) => {
      begun.push(bytes.length);
      return new Promise<{ sha256: string; sizeBytes: number }>((resolve) =>
        finish.push(() => resolve({ sha256: "", sizeBytes: bytes.length })),
      );
    };
    serveStorage({ ...slow, blobs: { ...slow.blobs, put } }, far);
    const storage = await remoteStorage(near);
    const size = 30 * 1024 ** 2;
    const puts = [1, 2, 3].map((extra) => storage.blobs.put(new Uint8Array(size + extra)));
    await expect.poll(() => begun.length).toBe(2);
    expect(begun).toEqual([size + 1, size + 2]);
    finish[0]?.();
    await puts[0];
    await expect.poll(() => begun.length).toBe(3);
    for (const done of finish) done();
    await Promise.all(puts);
  });
});
