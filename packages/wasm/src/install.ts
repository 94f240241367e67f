// Makes the backend one of TensorFlow.js's: the kernels under its names for what it has and under ours for the fused ones.
import * as tf from "@tensorflow/tfjs-core";
import { WASM, WasmBackend } from "./backend.ts";
import { openInstance } from "./instance.ts";
import { LANGUAGE } from "./kernels/language.ts";
import type { Inputs } from "./kernels/launchers.ts";
import { PRODUCTS } from "./kernels/matmul.ts";
import { PLAIN } from "./kernels/plain.ts";
import { VISION } from "./kernels/vision.ts";

const LAUNCHERS = { ...PLAIN, ...PRODUCTS, ...LANGUAGE, ...VISION };

let opened: Promise<WasmBackend> | null = null;

async function open(): Promise<WasmBackend> {
  const backend = new WasmBackend(await openInstance());
  for (const [kernelName, launch] of Object.entries(LAUNCHERS))
    tf.registerKernel({
      kernelName,
      backendName: WASM,
      kernelFunc: (params) => launch(params.backend as WasmBackend, params.inputs as unknown as Inputs, params.attrs as unknown as Inputs),
    });
  // Below WebGPU, above the CPU, as TensorFlow.js ranks its own.
  tf.registerBackend(WASM, () => backend, 2);
  if (!(await tf.setBackend(WASM))) throw new Error("TensorFlow.js did not take the WASM backend");
  return backend;
}

/** The one backend of this thread, registered. Rejects where the platform has no WebAssembly, no SIMD in it, or forbids it. */
export function registerWasmBackend(): Promise<WasmBackend> {
  opened ??= open().catch((error: unknown) => {
    opened = null;
    throw error;
  });
  return opened;
}
