// The engine's thread in Node: TensorFlow.js on WASM, or on the CPU for what WASM cannot train. A step may block it without delaying heartbeats.
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import { parentPort } from "node:worker_threads";
import { createEngine, type EngineOptions } from "@weft/engine";
import { type EngineCall, serveEngine } from "@weft/volunteer/engine-rpc";

const wasmPaths = `${join(dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json")), "dist")}${sep}`;

const port = parentPort;
if (port === null) throw new Error("this file runs as a worker thread");
const serve = serveEngine(
  (answer, transfer) => port.postMessage(answer, [...transfer]),
  ({ preference }: Pick<EngineOptions, "preference">) => createEngine({ preference, allowSoftwareGpu: false, wasmPaths }),
);
port.on("message", (call: EngineCall) => serve(call));
