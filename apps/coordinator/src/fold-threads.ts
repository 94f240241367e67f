// How many threads fold large updates, and how one of them is started.
import { availableParallelism } from "node:os";
import type { FoldThreadOptions } from "@weft/wasm/fold";
import { startThread, type Thread } from "./threads.ts";

/** More of them wait for the memory they read. */
const MOST = 4;

export const startFoldWorker = (): Thread => startThread("fold-worker", {});

/** For whoever closes rounds; `log` hears of threads that end by themselves. */
export const foldThreads = (log: (line: string) => void): FoldThreadOptions => ({
  count: Math.min(MOST, availableParallelism()),
  start: () => {
    const { worker, ready } = startFoldWorker();
    // It takes what work there is when it is ready; where it never is, the others do all of it.
    ready.catch((error: Error) => log(`a thread that folds did not start: ${error.message}`));
    worker.on("error", (error) => log(`a thread that folds ended: ${error.message}`));
    // It waits for work as long as it lives, and keeps no thread from ending.
    worker.unref();
    return { post: (message) => worker.postMessage(message), terminate: () => void worker.terminate() };
  },
  onLost: (why) => log(`${why}; one thread folds from now on`),
});
