// Starts the threads that compute WASM kernels with the engine's, from source and from the built bundle alike.
import { Worker } from "node:worker_threads";
import type { StartThread } from "@weft/engine/kernel-thread";

/** Beside this module, and beside the engine's thread, of whose bundle it becomes a part. */
const source = import.meta.url.endsWith(".ts");
const ENTRY = new URL(`./kernel-thread${source ? ".ts" : ".js"}`, import.meta.url);
const LOADER = new URL("./from-source.mjs", import.meta.url);

export const startKernelThread: StartThread = (start, tell) => {
  const worker = new Worker(source ? LOADER : ENTRY, { name: "weft-kernels", workerData: { entry: ENTRY.href, start }, execArgv: [] });
  // It waits for work as long as it lives, and keeps no process from ending.
  worker.unref();
  worker.on("message", tell);
  worker.on("error", (error) => tell({ kind: "failed", message: error.message }));
  worker.on("exit", (code) => tell({ kind: "failed", message: `a thread of the kernels ended with code ${code}` }));
  return { terminate: () => void worker.terminate() };
};
