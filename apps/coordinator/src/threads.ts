// Worker threads: how one is started from TypeScript and from the built bundle alike, and how questions and answers pass to it.
// Knows nothing of what a worker does.

import { type MessagePort, type Transferable, Worker, type WorkerOptions } from "node:worker_threads";
import type { MessagePortLike } from "@weft/storage";
import { keepNurserySmall } from "./thread-memory.ts";

/** Each thread has a nursery of its own; the large typed arrays lie outside it, so a small one costs nothing and keeps the process small. */
const YOUNG_MB = 3;

/** Where a worker's entry lies beside this module: `workers/NAME.ts` from source, `workers/NAME.js` in the bundle. */
export const entryOf = (name: string): URL =>
  new URL(`./workers/${name}${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url);

export interface Thread {
  readonly worker: Worker;
  /** Resolves when the worker said that it is ready, rejects when it failed to start. */
  readonly ready: Promise<void>;
}

interface StartData<T> {
  readonly input: T;
  readonly entry: string;
}
type Hello = { readonly kind: "ready" } | { readonly kind: "failed"; readonly fault: Fault };

/** An error as it crosses threads: its message, its `code` where it has one. */
export interface Fault {
  readonly name: string;
  readonly message: string;
  readonly code: string | null;
}
export class ThreadFault extends Error {
  readonly code: string | null;
  constructor(fault: Fault) {
    super(fault.message);
    this.name = fault.name;
    this.code = fault.code;
  }
}
export const faultOf = (error: unknown): Fault => ({
  name: error instanceof Error ? error.name : "Error",
  message: error instanceof Error ? error.message : String(error),
  code: typeof error === "object" && error !== null && "code" in error && typeof error.code === "string" ? error.code : null,
});

/** From source the entry is TypeScript, which needs a loader of its own. */
function workerOf<T>(entry: URL, input: T, options: WorkerOptions): Worker {
  const fromSource = entry.pathname.endsWith(".ts");
  const url = fromSource ? new URL("./workers/from-source.mjs", import.meta.url) : entry;
  return new Worker(url, { ...options, workerData: { input, entry: entry.href } satisfies StartData<T>, execArgv: [] });
}

export function startThread<T>(name: string, input: T, transfer: readonly Transferable[] = [], entry: URL = entryOf(name)): Thread {
  const worker = workerOf(entry, input, {
    name: `weft-${name}`,
    transferList: [...transfer],
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
  });
  worker.once("online", keepNurserySmall);
  const ready = new Promise<void>((resolve, reject) => {
    worker.once("error", reject);
    worker.once("exit", (code) => reject(new Error(`the ${name} worker ended with ${code} before it was ready`)));
    worker.once("message", (hello: Hello) => (hello.kind === "ready" ? resolve() : reject(new ThreadFault(hello.fault))));
  });
  return { worker, ready };
}

/** Node's port is also a web port; its types say so only in part. */
export const portLike = (port: MessagePort): MessagePortLike => port as unknown as MessagePortLike;
