// A coordinator in a process of its own that a test kills and starts again, and volunteers that find their way back to it. The processes run
// from a bundle made once. Knows nothing of what is tested.
import { type ChildProcess, execFile, fork } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { volunteerData } from "@weft/datasets";
import { createIdentity } from "@weft/ledger";
import { type ContributionHeader, type ContributionOpen, decodeFrame, type RunSpec } from "@weft/protocol";
import { mlpEngine } from "@weft/testkit";
import { drawSample } from "@weft/training";
import { type Clock, httpBlobs, socketTransport, systemClock, type Transport, Volunteer } from "@weft/volunteer";
import { io } from "socket.io-client";
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

/** What volunteers were told, which must hold whatever happens. */
export interface Heard {
  /** Headers whose admission was acknowledged, by their bytes' hash and attempt. */
  readonly admitted: Map<string, ContributionHeader>;
  /** Uploads that went on where they had been interrupted. */
  resumed: number;
  leases: number;
}
export const nothingHeard = (): Heard => ({ admitted: new Map(), resumed: 0, leases: 0 });
export const answerKey = ({ lease, attempt, sha256 }: Pick<ContributionHeader, "lease" | "attempt" | "sha256">): string =>
  `${lease}/${attempt}/${sha256}`;

/** Notes what the coordinator answers. */
const listening = (inner: Transport, heard: Heard): Transport => {
  const headers = new Map<string, ContributionHeader>();
  const keyOf = ({ lease, attempt }: { lease: string; attempt: number }): string => `${lease}/${attempt}`;
  return {
    connect(handlers) {
      const connection = inner.connect(handlers);
      return {
        close: () => connection.close(),
        async request(event, message, timeoutMs) {
          if (event === "contribution") {
            const { header } = message as ContributionOpen;
            headers.set(keyOf(header), header);
          }
          const answer = await connection.request(event, message, timeoutMs);
          const { ok, value } = answer as { ok: boolean; value?: { kind?: string; nextChunk?: number } };
          if (!ok) return answer;
          if (event === "lease" && value?.kind === "lease") heard.leases += 1;
          if (event === "contribution" && (value?.nextChunk ?? 0) > 0) heard.resumed += 1;
          if (event === "chunk" && value?.kind === "admitted") {
            const frame = decodeFrame(message as Uint8Array);
            const header = headers.get(keyOf(frame?.header as { lease: string; attempt: number }));
            if (header !== undefined) heard.admitted.set(answerKey(header), header);
          }
          return answer;
        },
      };
    },
  };
};

/** Goes ten times as fast as time: a volunteer that waits before it connects again shall not keep a test waiting. */
const hastyClock: Clock = {
  now: () => 10 * systemClock.now(),
  sleep: (ms) => systemClock.sleep(ms / 10),
};

export interface SteadyOptions {
  readonly url: string;
  readonly seed: number;
  readonly heard: Heard;
  /** Milliseconds that each step takes at least. */
  readonly stepMs?: number;
}
/** The volunteer that people run, with a plain engine: it trains, and comes back by itself. */
export function steadyVolunteer({ url, seed, heard, stepMs = 0 }: SteadyOptions): Volunteer {
  const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
  const { publicKey, sign } = createIdentity(createHash("sha256").update(`steady ${seed}`).digest());
  return new Volunteer({
    identity: { volunteer: publicKey, sign: async (domain, value) => sign(domain, value) },
    createEngine: async () => mlpEngine(() => systemClock.sleep(stepMs)),
    data: (blobs) => volunteerData({ blobs, draw: drawSample }),
    blobs: httpBlobs(url),
    hash: async (bytes) => hash(bytes),
    clock: hastyClock,
    transport: listening(socketTransport(url, io), heard),
    origin: url,
    seed,
  });
}
