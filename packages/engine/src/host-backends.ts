// The backends that compute in this thread: WASM with SIMD (and threads where the page is cross-origin isolated), and plain JavaScript.
import * as tf from "@tensorflow/tfjs-core";
import type { DeviceInfo, ModelSpec } from "@weft/protocol";
import { type Backend, HostParameters, HostProgram, readHost, useBackend } from "./backend.ts";
import { EngineUnavailableError, type WasmPaths } from "./engine.ts";

const NEVER = new Promise<string>(() => undefined);

const hostBackend = (name: "wasm" | "cpu", info: DeviceInfo, trains: Backend["trains"]): Backend => ({
  info,
  lost: NEVER,
  trains,
  use: () => useBackend(name),
  parameters: (layout) => new HostParameters(layout),
  read: (tensors) => Promise.resolve(readHost(tensors)),
  program: (_, run) => new HostProgram(run),
  optional: { names: [], strike: () => undefined, restore: () => undefined },
  // Both stay registered: other engines of this thread may use them, and they hold nothing but their tensors.
  dispose: () => undefined,
});

export async function openCpu(): Promise<Backend> {
  await import("@tensorflow/tfjs-backend-cpu");
  if (!(await tf.setBackend("cpu"))) throw new Error("TensorFlow.js did not take the CPU backend");
  return hostBackend("cpu", { backend: "cpu", description: "JavaScript on the processor", software: false }, () => true);
}

/** The gradient of a convolution's filter has no WASM kernel. */
const TRAINED_BY_WASM: ReadonlySet<ModelSpec["kind"]> = new Set(["mlp", "gpt", "lstm"]);

export async function openWasm(paths: WasmPaths): Promise<Backend> {
  const wasm = await import("@tensorflow/tfjs-backend-wasm");
  if (tf.findBackend("wasm") === null) {
    wasm.setWasmPaths(typeof paths === "string" ? paths : { ...paths });
    const taken = await tf.setBackend("wasm").catch(() => false);
    if (!taken) throw new EngineUnavailableError("no-wasm", "WebAssembly could not be started: its binary did not load or run");
  }
  useBackend("wasm");
  const threads = wasm.getThreadsCount();
  const simd = (await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT")) === true;
  const description = `WebAssembly${simd ? " with SIMD" : ""}${threads > 1 ? `, ${threads} threads` : ""}`;
  return hostBackend("wasm", { backend: "wasm", description, software: false }, (kind) => TRAINED_BY_WASM.has(kind));
}
