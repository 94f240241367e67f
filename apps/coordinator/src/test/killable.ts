// A coordinator in a process of its own that a test kills and starts again. The processes run from a bundle made once. Knows nothing of what
// is tested.
import { type ChildProcess, execFile, fork } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { RunSpec } from "@weft/protocol";
import type { FaultPlan } from "./fault-points.ts";
import type { KillableNews, KillableOrder } from "./killable-coordinator.ts";

const REPOSITORY = fileURLToPath(new URL("../../../../", import.meta.url));

export interface Bundle {
  readonly entry: string;
  remove(): Promise<void>;
}
/** Below node_modules, where packages from npm are found from. */
export async function bundleKillable(): Promise<Bundle> {
  const cache = join(REPOSITORY, "node_modules", ".cache");
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, "weft-killable-"));
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL("./bundle.mjs", import.meta.url)), folder]);
  return { entry: join(folder, "killable-coordinator.js"), remove: () => rm(folder, { recursive: true, force: true }) };
}

export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port"))));
    });
  });

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}
export interface Killable {
  readonly child: ChildProcess;
  /** Null where it ended before it served. Rejects where it could not serve. */
  readonly serving: Promise<Extract<KillableNews, { kind: "serving" }> | null>;
  readonly ended: Promise<Ended>;
}

export const UNHARMED: FaultPlan = { point: null, nth: 1, log: null };

export function startKillable(bundle: Bundle, order: { folder: string; port: number; run: RunSpec; plan?: FaultPlan }): Killable {
  const child = fork(bundle.entry, { execArgv: [], stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const ended = new Promise<Ended>((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
  const serving = new Promise<Extract<KillableNews, { kind: "serving" }> | null>((resolve, reject) => {
    child.once("message", (message) => {
      const news = message as KillableNews;
      if (news.kind === "serving") resolve(news);
      else reject(new Error(`the coordinator did not start: ${news.message}`));
    });
    void ended.then(({ code, signal }) => (signal === "SIGKILL" ? resolve(null) : reject(new Error(`it ended with ${code ?? signal}`))));
  });
  serving.catch(() => undefined);
  child.send({ plan: UNHARMED, ...order } satisfies KillableOrder);
  return { child, serving, ended };
}
