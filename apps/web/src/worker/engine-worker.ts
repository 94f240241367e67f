// The nested worker: TensorFlow.js and the kernels, nothing else. A step may block this thread for seconds without delaying a heartbeat.
import { browserMemory, createEngine, type EngineOptions } from "@weft/engine";
import type { StartThread } from "@weft/engine/kernel-thread";
import { type EngineCall, serveEngine } from "@weft/volunteer/engine-rpc";

interface Port {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  onmessage: ((event: MessageEvent<EngineCall>) => void) | null;
}
const port = globalThis as unknown as Port;

const start: StartThread = (given, tell) => {
  const worker = new Worker(new URL("./kernel-worker.ts", import.meta.url), { type: "module", name: "weft-kernels" });
  worker.onmessage = ({ data }) => tell(data);
  worker.onerror = (event) =>
    tell({ kind: "failed", message: `A worker of the kernels failed: ${event.message || "it could not be loaded"}` });
  worker.postMessage(given);
  return worker;
};
/** `threads`: that compute together where the engine is WASM, if they can be had. */
type Wishes = Pick<EngineOptions, "preference" | "allowSoftwareGpu"> & { readonly threads: number };

const serve = serveEngine(
  (answer, transfer) => port.postMessage(answer, [...transfer]),
  ({ threads: count, ...options }: Wishes) => createEngine({ ...options, memory: browserMemory(), threads: { count, start } }),
);
port.onmessage = ({ data }) => serve(data);
