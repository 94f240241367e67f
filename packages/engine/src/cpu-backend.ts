// Plain JavaScript as a backend of the engine: slow, and everywhere.
import * as tf from "@tensorflow/tfjs-core";
import { type Backend, HostParameters, HostProgram, NEVER_LOST, NO_OPTIONAL_KERNELS, readHost, useBackend } from "./backend.ts";
import { HostTrainer } from "./host-trainer.ts";

export async function openCpu(): Promise<Backend> {
  await import("@tensorflow/tfjs-backend-cpu");
  if (!(await tf.setBackend("cpu"))) throw new Error("TensorFlow.js did not take the CPU backend");
  return {
    info: { backend: "cpu", description: "JavaScript on the processor", software: false },
    lost: NEVER_LOST,
    use: () => useBackend("cpu"),
    parameters: (layout) => new HostParameters(layout),
    read: (tensors) => Promise.resolve(readHost(tensors)),
    program: (_, run) => new HostProgram(run),
    trainer: async (parameters, program, options) => new HostTrainer(parameters, program, options),
    optional: NO_OPTIONAL_KERNELS,
    // It stays registered: other engines of this thread may use it, and it holds nothing but their tensors.
    dispose: () => undefined,
  };
}
