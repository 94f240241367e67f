// TensorFlow.js on a GPUDevice of our own, as a backend of the engine. Loaded only where there is WebGPU.
import type { ModelSpec } from "@weft/protocol";
import {
  compileAhead,
  DeviceParameters,
  FlatReadBack,
  installKernels,
  openDevice,
  registerWebGpuBackend,
  unregisterWebGpuBackend,
  WEBGPU,
} from "@weft/webgpu";
import { type Backend, useBackend } from "./backend.ts";
import { EngineUnavailableError } from "./engine.ts";

const TRAINED: Record<ModelSpec["kind"], boolean> = { mlp: true, cnn: true, gpt: true };

export async function openWebGpu(gpu: GPU, allowSoftware: boolean): Promise<Backend> {
  const opened = await openDevice({ gpu, allowSoftware });
  if (!opened.ok) throw new EngineUnavailableError("no-webgpu", opened.message);
  const { device, description, software } = opened.value;
  const backend = await registerWebGpuBackend(opened.value);
  installKernels();
  const readBack = new FlatReadBack(backend);
  return {
    info: { backend: "webgpu", description, software },
    lost: opened.value.lost.then(({ message }) => message || "The GPU was lost"),
    trains: (kind) => TRAINED[kind],
    use: () => useBackend(WEBGPU),
    parameters: (layout) => {
      const parameters = new DeviceParameters(backend, layout);
      return {
        tensors: parameters.tensors,
        write: (flat) => parameters.write(flat as Float32Array<ArrayBuffer>),
        dispose: () => parameters.dispose(),
      };
    },
    read: (tensors) => readBack.read(tensors),
    prepare: (run) => compileAhead(backend, run),
    dispose: () => {
      readBack.dispose();
      unregisterWebGpuBackend(backend);
      device.destroy();
    },
  };
}
