// A thread beside the engine's in Node: computes its part of every WASM kernel. It never comes back to its event loop; the engine's ends it.
import { parentPort, workerData } from "node:worker_threads";
import { serveKernels } from "@weft/engine/kernel-thread";

await serveKernels(workerData.start, (word) => parentPort?.postMessage(word));
