// Named points in a coordinator's process at which a test kills it: before and after every change of the disk, every answer and every
// announcement. Each point that is passed is written to a file, so that a test can ask which there are. Knows nothing of what is tested.
import { appendFileSync } from "node:fs";
import { getEnvironmentData, setEnvironmentData } from "node:worker_threads";
import type { CoordinatorApi, VolunteerPort } from "@weft/coordinator";
import type { Result } from "@weft/protocol";
import type { Disk, DiskFile } from "@weft/storage";

export interface FaultPlan {
  /** Killed at this point, the n-th time (from 1) that the process comes to it; null: at none. */
  readonly point: string | null;
  readonly nth: number;
  /** Outside the data folder; null: nothing is noted. */
  readonly log: string | null;
}

const KEY = "weft fault plan";
/** For this thread and those that it starts from now on. */
export const setFaultPlan = (plan: FaultPlan): void => setEnvironmentData(KEY, JSON.stringify(plan));

const counts = new Map<string, number>();
let plan: FaultPlan | null = null;

/** Never resolves at the point where the process is killed. */
const at = (point: string): Promise<void> => {
  plan ??= JSON.parse(String(getEnvironmentData(KEY))) as FaultPlan;
  const count = (counts.get(point) ?? 0) + 1;
  counts.set(point, count);
  if (count === 1 && plan.log !== null) appendFileSync(plan.log, `${point}\n`);
  if (plan.point !== point || plan.nth !== count) return Promise.resolve();
  process.kill(process.pid, "SIGKILL");
  return new Promise(() => undefined);
};

/** What a path is for: the kinds of files in a data folder. */
const kindOf = (path: string): string =>
  /\/(ledger|contributions|blobs\/drafts|blobs|spool|datasets)(\/|$)/.exec(path)?.[1] ??
  (/\.key/.test(path) ? "key" : /\/format/.test(path) ? "format" : "folder");

/** The most that a batch of records promises. */
const promiseIn = (records: Uint8Array): string => {
  const text = new TextDecoder().decode(records);
  for (const [type, name] of [
    ["version-published", "publication"],
    ["contribution-admitted", "admission"],
    ["run-created", "creation"],
  ] as const)
    if (text.includes(`"type":"${type}"`)) return name;
  return "other";
};

const around = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  await at(`before ${what}`);
  const result = await work();
  await at(`after ${what}`);
  return result;
};

/** Every change of the disk between two points; a write also has one in its middle, at which half of the bytes are there. */
export const faultyDisk = (disk: Disk): Disk => ({
  makeFolder: (path) => around(`make folder, ${kindOf(path)}`, () => disk.makeFolder(path)),
  openAppend: async (path): Promise<DiskFile> => {
    let kind = kindOf(path);
    const file = await around(`open, ${kind}`, () => disk.openAppend(path));
    return {
      append: (bytes) => {
        if (kind.startsWith("ledger")) kind = `ledger, ${promiseIn(bytes)}`;
        return around(`write, ${kind}`, async () => {
          const half = Math.floor(bytes.length / 2);
          await file.append(bytes.subarray(0, half));
          await at(`amid write, ${kind}`);
          await file.append(bytes.subarray(half));
        });
      },
      datasync: () => around(`sync, ${kind}`, () => file.datasync()),
      truncate: (sizeBytes) => around(`truncate, ${kind}`, () => file.truncate(sizeBytes)),
      close: () => file.close(),
    };
  },
  size: (path) => disk.size(path),
  readRange: (path, start, end) => disk.readRange(path, start, end),
  list: (folder) => disk.list(folder),
  rename: (from, to) => around(`rename, ${kindOf(to)}`, () => disk.rename(from, to)),
  unlink: (path) => around(`unlink, ${kindOf(path)}`, () => disk.unlink(path)),
  syncFolder: (path) => around(`sync folder, ${kindOf(path)}`, () => disk.syncFolder(path)),
  lock: (path) => around("lock", () => disk.lock(path)),
});

const nameOf = (event: string, answer: Result<unknown>): string => {
  if (!answer.ok) return `${event}, refused`;
  const { kind } = (answer.value ?? {}) as { readonly kind?: unknown };
  return typeof kind === "string" ? `${event}, ${kind}` : event;
};

/** Each answer to a volunteer and each notice to it between two points. The second comes when the bytes have gone to the system. */
export const faultyAnswers = (coordinator: CoordinatorApi): CoordinatorApi => {
  const connect = (port: VolunteerPort): ReturnType<CoordinatorApi["connect"]> => {
    const send = (event: "challenge" | "work" | "revoke", message: never): void => {
      void at(`before notice, ${event}`).then(() => {
        (port.send as (event: string, message: unknown) => void)(event, message);
        setImmediate(() => void at(`after notice, ${event}`));
      });
    };
    const session = coordinator.connect({ ...port, send: send as VolunteerPort["send"] });
    return {
      handle: async (event, message) => {
        const answer = await session.handle(event, message);
        await at(`before answer, ${nameOf(event, answer)}`);
        setImmediate(() => void at(`after answer, ${nameOf(event, answer)}`));
        return answer;
      },
      disconnected: (silentMs) => session.disconnected(silentMs),
    };
  };
  return new Proxy(coordinator, {
    get: (target, key) => {
      if (key === "connect") return connect;
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
};
