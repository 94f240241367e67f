// TensorFlow.js on a GPUDevice of our own, as a backend of the engine. Loaded only where there is WebGPU.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import type { ModelTensors } from "@weft/models/tf";
import type { Batch } from "@weft/tensors";
import {
  compileAhead,
  DeviceInputs,
  DeviceParameters,
  FlatReadBack,
  installKernels,
  OPTIONAL_KERNELS,
  openDevice,
  registerWebGpuBackend,
  restoreKernel,
  strikeKernel,
  Tape,
  unregisterWebGpuBackend,
  WEBGPU,
} from "@weft/webgpu";
import { type Backend, type Program, useBackend } from "./backend.ts";
import { EngineUnavailableError } from "./engine.ts";

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
    program: (example, run) => new DeviceProgram(backend, readBack, example, run),
    optional: { names: OPTIONAL_KERNELS, strike: strikeKernel, restore: restoreKernel },
    dispose: () => {
      readBack.dispose();
      unregisterWebGpuBackend(backend);
      device.destroy();
    },
  };
}

/** Recorded at its first run, replayed at all others. */
class DeviceProgram implements Program {
  readonly #backend: WebGPUBackend;
  readonly #readBack: FlatReadBack;
  readonly #inputs: DeviceInputs<keyof ModelTensors>;
  readonly #compute: () => readonly tf.Tensor[];
  #tape: Tape | null = null;

  constructor(backend: WebGPUBackend, readBack: FlatReadBack, example: Batch, compute: (batch: ModelTensors) => readonly tf.Tensor[]) {
    this.#backend = backend;
    this.#readBack = readBack;
    const { rows, inputs, targets } = example;
    this.#inputs = new DeviceInputs(backend, {
      inputs: { shape: [rows, inputs.length / rows], dtype: inputs instanceof Int32Array ? "int32" : "float32" },
      targets: { shape: [targets.length], dtype: "int32" },
      weights: { shape: [rows], dtype: "float32" },
    });
    this.#compute = () => compute(this.#inputs.tensors as unknown as ModelTensors);
  }

  prepare(): Promise<void> {
    return compileAhead(this.#backend, () => tf.dispose([...this.#compute()]));
  }

  async run({ inputs, targets, weights }: Batch): Promise<Float32Array> {
    this.#inputs.write({ inputs, targets, weights });
    if (this.#tape === null) this.#tape = Tape.record(this.#backend, this.#compute);
    else this.#tape.replay();
    return this.#readBack.readSources(this.#tape.outputs);
  }

  dispose(): void {
    this.#tape?.dispose();
    this.#tape = null;
    this.#inputs.dispose();
  }
}
