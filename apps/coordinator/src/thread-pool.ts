// The coordinator's threads: one beside the disk, one for rounds and checkpoints, one for evaluation. Message ports join the latter two straight
// to the first, so that weights and contributions never pass through the event loop.
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { Compute } from "@weft/coordinator";
import { remoteStorage, type Storage } from "@weft/storage";
import { type Caller, callsTo } from "./calls.ts";
import { portLike, startThread, type Thread } from "./threads.ts";

/** TensorFlow.js with its memory is 100 MB, which it never gives back: too much to hold between the evaluations of a slow run. */
const EVALUATION_IDLE_MS = 3_000;

export interface ThreadPool {
  readonly storage: Storage;
  readonly compute: Compute;
  /** Closes the storage, then ends the threads. */
  close(): Promise<void>;
}

export interface ThreadPoolOptions {
  readonly folder: string;
  /** Folder of the unfinished uploads. */
  readonly spool: string;
  /** Entry of the thread beside the disk. */
  readonly storageWorker: URL;
  /** The storage thread ended without being told to: nothing can be promised any more. */
  readonly onStorageLost: (error: Error) => void;
  readonly log: (line: string) => void;
}

interface ComputeThreadOptions {
  readonly name: string;
  readonly makePort: () => MessagePort;
  /** What the thread is started with beside its port to the storage. */
  readonly input?: Readonly<Record<string, string>>;
  /** It ends when nothing was asked of it for so long, and starts again with the next call. Absent: it stays. */
  readonly idleMs?: number;
  readonly log: (line: string) => void;
}

/** A thread that computes; one that died is started anew with the next call, and what it had in hand fails. */
function computeThread({ name, makePort, input = {}, idleMs, log }: ComputeThreadOptions) {
  let running: { readonly thread: Thread; readonly caller: Caller } | null = null;
  let closing = false;
  let asked = 0;
  let idle: NodeJS.Timeout | undefined;
  const start = () => {
    const storage = makePort();
    const thread = startThread(name, { ...input, storage }, [storage]);
    const caller = callsTo(thread.worker);
    const mine = { thread, caller };
    const ended = (why: string): void => {
      if (running === mine) running = null;
      caller.fail(new Error(`the ${name} thread ended: ${why}`));
      if (!closing && !sent.has(mine)) log(`the ${name} thread ended: ${why}`);
    };
    thread.worker.on("error", (error) => ended(error.message));
    thread.worker.on("exit", (code) => ended(`exit code ${code}`));
    // A failure to get ready is told to each caller.
    thread.ready.catch(() => undefined);
    running = mine;
    return mine;
  };
  /** Threads that were told to end. */
  const sent = new WeakSet<object>();
  const rest = (): void => {
    const mine = running;
    if (mine === null || asked > 0) return;
    running = null;
    sent.add(mine);
    void mine.thread.worker.terminate();
  };
  return {
    async call(method: string, ...args: readonly unknown[]): Promise<unknown> {
      if (closing) throw new Error("the coordinator is stopping");
      clearTimeout(idle);
      asked += 1;
      try {
        const { thread, caller } = running ?? start();
        await thread.ready;
        return await caller.call(method, ...args);
      } finally {
        asked -= 1;
        if (asked === 0 && idleMs !== undefined && !closing) idle = setTimeout(rest, idleMs).unref();
      }
    },
    async close(): Promise<void> {
      closing = true;
      clearTimeout(idle);
      await running?.thread.worker.terminate();
    },
  };
}

/** Rejects with the storage's own fault where the folder cannot be used. */
export async function openThreadPool({ folder, spool, storageWorker, onStorageLost, log }: ThreadPoolOptions): Promise<ThreadPool> {
  const disk = startThread("storage-worker", { folder }, [], storageWorker);
  let closing = false;
  const lost = (why: string): void => {
    if (!closing) onStorageLost(new Error(`the storage thread ended: ${why}`));
  };
  try {
    await disk.ready;
  } catch (error) {
    closing = true;
    await disk.worker.terminate();
    throw error;
  }
  disk.worker.on("error", (error) => lost(error.message));
  disk.worker.on("exit", (code) => lost(`exit code ${code}`));
  const makePort = (): MessagePort => {
    const { port1, port2 } = new MessageChannel();
    disk.worker.postMessage({ port: port1 }, [port1]);
    return port2;
  };
  const storage = await remoteStorage(portLike(makePort())).catch(async (error: unknown) => {
    closing = true;
    await disk.worker.terminate();
    throw error;
  });
  const rounds = computeThread({ name: "compute-worker", makePort, input: { spool }, log });
  const evaluations = computeThread({ name: "evaluation-worker", makePort, idleMs: EVALUATION_IDLE_MS, log });
  return {
    storage,
    compute: {
      initialWeights: (...args) => rounds.call("initialWeights", ...args) as ReturnType<Compute["initialWeights"]>,
      follow: (...args) => void rounds.call("follow", ...args).catch(() => undefined),
      takeIn: (...args) => rounds.call("takeIn", ...args) as ReturnType<Compute["takeIn"]>,
      closeRound: (...args) => rounds.call("closeRound", ...args) as ReturnType<Compute["closeRound"]>,
      checkpoint: (...args) => rounds.call("checkpoint", ...args) as ReturnType<Compute["checkpoint"]>,
      evaluate: (...args) => evaluations.call("evaluate", ...args) as ReturnType<Compute["evaluate"]>,
    },
    async close() {
      closing = true;
      await Promise.all([rounds.close(), evaluations.close()]);
      try {
        await storage.close();
      } finally {
        await disk.worker.terminate();
      }
    },
  };
}
