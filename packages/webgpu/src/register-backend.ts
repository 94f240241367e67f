// Makes TensorFlow.js compute on a device of ours instead of one it requests itself. Knows no model.

import { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { bindParts } from "./buffer-tensors.ts";
import type { OpenedDevice } from "./open-device.ts";
import { withoutPooling } from "./tape.ts";
import { noteVariants } from "./variants.ts";

export const WEBGPU = "webgpu";
/** Above wasm and cpu, as TensorFlow.js ranks it. */
const PRIORITY = 3;

/** Registers the backend anew on `opened` and selects it; one of an earlier device is disposed of first. */
export async function registerWebGpuBackend({ device, info, variants }: OpenedDevice): Promise<WebGPUBackend> {
  if (tf.findBackendFactory(WEBGPU) !== null) tf.removeBackend(WEBGPU);
  const backend = new WebGPUBackend(device, info);
  bindParts(backend);
  noteVariants(backend, variants);
  tf.registerBackend(WEBGPU, () => backend, PRIORITY);
  if (!(await tf.setBackend(WEBGPU))) throw new Error("TensorFlow.js did not take the WebGPU backend");
  return backend;
}

/** Ends the registration of `backend`, if it still stands, and releases its buffers. */
export function unregisterWebGpuBackend(backend: WebGPUBackend): void {
  if (tf.findBackend(WEBGPU) === backend) tf.removeBackend(WEBGPU);
}

/** Compiles every pipeline that `run` would need, side by side instead of one after another; nothing is computed. `run` must leave no
 *  tensor behind. Rejects when one does not compile, and forgets it, so that others can be tried. */
export async function compileAhead(backend: WebGPUBackend, run: () => void): Promise<void> {
  tf.env().set("WEBGPU_ENGINE_COMPILE_ONLY", true);
  try {
    withoutPooling(backend, run);
  } finally {
    tf.env().set("WEBGPU_ENGINE_COMPILE_ONLY", false);
  }
  const { pipelineCache } = backend as unknown as { pipelineCache: Record<string, GPUComputePipeline | Promise<GPUComputePipeline>> };
  const faults: unknown[] = [];
  await Promise.all(
    Object.entries(pipelineCache).map(async ([key, pipeline]) => {
      try {
        pipelineCache[key] = await pipeline;
      } catch (error) {
        delete pipelineCache[key];
        faults.push(error);
      }
    }),
  );
  if (faults.length > 0) throw faults[0];
}
