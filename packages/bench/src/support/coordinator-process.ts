// Starts the built coordinator in a process of its own on a free loopback port and an empty folder, and ends it. Knows no bench.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AdminCommand, AdminReply, Result } from "@weft/protocol";

const START_LIMIT_MS = 60_000;
export const WEFT = new URL("../../../../apps/cli/dist/main.js", import.meta.url).pathname;

/** As `npm start` sets them: glibc gives freed buffers of a megabyte back to the system (scripts/start.mjs). */
const ALLOCATOR = process.platform === "linux" ? { MALLOC_ARENA_MAX: "2", MALLOC_MMAP_THRESHOLD_: "131072" } : {};

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}

export interface Served {
  readonly url: string;
  readonly pid: number;
  readonly port: number;
  readonly data: string;
  json<T>(path: string): Promise<T>;
  text(path: string): Promise<string>;
  command(message: AdminCommand): Promise<AdminReply>;
  /** Ends it in order and removes its data. */
  stop(): Promise<void>;
  /** Ends it at once, wherever it is, and keeps its data; or in order. */
  end(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
}

export interface ServeOptions {
  /** Data folder and port of a coordinator that was ended before; it goes on there. */
  readonly again?: Pick<Served, "data" | "port">;
}

export async function serve({ again }: ServeOptions = {}): Promise<Served> {
  const port = again?.port ?? (await freePort());
  const data = again?.data ?? (await mkdtemp(join(tmpdir(), "weft-bench-")));
  const url = `http://localhost:${port}`;
  const child: ChildProcess = spawn(process.execPath, [WEFT, "serve", "--port", String(port), "--data", data, "--volunteers", "0"], {
    env: { ...ALLOCATOR, ...process.env, WEFT_ALLOW_SOFTWARE_GPU: "1" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  // A bench that is ended from outside leaves nobody behind.
  const killChild = () => child.kill("SIGKILL");
  process.once("exit", killChild);
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  void ended.then(() => process.off("exit", killChild));
  const untilMs = Date.now() + START_LIMIT_MS;
  for (;;) {
    const healthy = await fetch(`${url}/api/health`).then(
      (response) => response.ok,
      () => false,
    );
    if (healthy) break;
    if (child.exitCode !== null || Date.now() > untilMs) throw new Error("The coordinator did not start.");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const key = (await readFile(join(data, "admin.key"), "utf8")).trim();
  const text = async (path: string): Promise<string> => (await fetch(`${url}${path}`)).text();
  return {
    url,
    pid: child.pid ?? 0,
    port,
    data,
    text,
    json: async <T>(path: string): Promise<T> => (JSON.parse(await text(path)) as { readonly value: T }).value,
    command: async (message) => {
      const response = await fetch(`${url}/api/admin/command`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${key}`, origin: url },
        body: JSON.stringify(message),
      });
      const body = (await response.json()) as Result<AdminReply>;
      if (!body.ok) throw new Error(`${message.type}: ${body.message}`);
      return body.value;
    },
    end: async (signal) => {
      child.kill(signal);
      await ended;
    },
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
      await rm(data, { recursive: true, force: true });
    },
  };
}
