// The beginning of every worker thread: take the input, get ready or say why not, then work. Knows no work.
import { parentPort, workerData } from "node:worker_threads";
import { collectStartup } from "../thread-memory.ts";
import { faultOf } from "../threads.ts";

export async function runWorker<T>(prepare: (input: T) => Promise<void> | void): Promise<void> {
  if (parentPort === null) throw new Error("this file runs as a worker thread");
  try {
    await prepare((workerData as { readonly input: T }).input);
    collectStartup();
    parentPort.postMessage({ kind: "ready" });
  } catch (error) {
    parentPort.postMessage({ kind: "failed", fault: faultOf(error) });
  }
}
