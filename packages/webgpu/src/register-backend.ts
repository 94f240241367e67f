// Makes TensorFlow.js compute on a device of ours instead of one it requests itself. Knows no model.

import { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import type { OpenedDevice } from "./open-device.ts";

export const WEBGPU = "webgpu";
/** Above wasm and cpu, as TensorFlow.js ranks it. */
const PRIORITY = 3;

/** Registers the backend anew on `opened` and selects it; one of an earlier device is disposed of first. */
export async function registerWebGpuBackend({ device, info }: OpenedDevice): Promise<WebGPUBackend> {
  if (tf.findBackendFactory(WEBGPU) !== null) tf.removeBackend(WEBGPU);
  const backend = new WebGPUBackend(device, info);
  tf.registerBackend(WEBGPU, () => backend, PRIORITY);
  if (!(await tf.setBackend(WEBGPU))) throw new Error("TensorFlow.js did not take the WebGPU backend");
  return backend;
}

/** Ends the registration of `backend`, if it still stands, and releases its buffers. */
export function unregisterWebGpuBackend(backend: WebGPUBackend): void {
  if (tf.findBackend(WEBGPU) === backend) tf.removeBackend(WEBGPU);
}

/** Compiles every pipeline that `run` would need, side by side instead of one after another; nothing is computed. */
export async function compileAhead(backend: WebGPUBackend, run: () => void): Promise<void> {
  tf.env().set("WEBGPU_ENGINE_COMPILE_ONLY", true);
  try {
    run();
  } finally {
    tf.env().set("WEBGPU_ENGINE_COMPILE_ONLY", false);
  }
  await backend.checkCompileCompletionAsync();
}
