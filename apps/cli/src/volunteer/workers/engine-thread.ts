// The engine's thread in Node: the GPU through Dawn, where that is there and asked for, else our WASM kernels, else the CPU. A step may
// block it without delaying heartbeats.
import { parentPort } from "node:worker_threads";
import { type EngineCall, serveEngine } from "@weft/volunteer/engine-rpc";
import { openDawn } from "../dawn.ts";
import type { EngineWishes } from "../engine-thread.ts";
import { startKernelThread } from "./kernel-threads.ts";

const port = parentPort;
if (port === null) throw new Error("this file runs as a worker thread");
const serve = serveEngine(
  (answer, transfer) => port.postMessage(answer, [...transfer]),
  async ({ preference, threads: count }: EngineWishes) => {
    const gpu = preference === "auto" || preference === "webgpu" ? await openDawn() : null;
    const { createEngine } = await import("@weft/engine");
    const allowSoftwareGpu = process.env.WEFT_ALLOW_SOFTWARE_GPU === "1";
    return createEngine({ preference, allowSoftwareGpu, threads: { count, start: startKernelThread }, ...(gpu === null ? {} : { gpu }) });
  },
);
port.on("message", (call: EngineCall) => serve(call));
