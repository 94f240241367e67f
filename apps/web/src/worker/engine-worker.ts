// The nested worker: TensorFlow.js and the kernels, nothing else. A step may block this thread for seconds without delaying a heartbeat.
import { browserMemory, createEngine, type EngineOptions } from "@weft/engine";
import { type EngineCall, serveEngine } from "@weft/volunteer/engine-rpc";

interface Port {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  onmessage: ((event: MessageEvent<EngineCall>) => void) | null;
}
const port = globalThis as unknown as Port;

const serve = serveEngine(
  (answer, transfer) => port.postMessage(answer, [...transfer]),
  (options: Pick<EngineOptions, "preference" | "allowSoftwareGpu">) => createEngine({ ...options, memory: browserMemory() }),
);
port.onmessage = ({ data }) => serve(data);
