// The engine's thread in Node: TensorFlow.js on our WASM kernels, or on the CPU. A step may block it without delaying heartbeats.
import { parentPort } from "node:worker_threads";
import { createEngine, type EngineOptions } from "@weft/engine";
import { type EngineCall, serveEngine } from "@weft/volunteer/engine-rpc";

const port = parentPort;
if (port === null) throw new Error("this file runs as a worker thread");
const serve = serveEngine(
  (answer, transfer) => port.postMessage(answer, [...transfer]),
  ({ preference }: Pick<EngineOptions, "preference">) => createEngine({ preference, allowSoftwareGpu: false }),
);
port.on("message", (call: EngineCall) => serve(call));
