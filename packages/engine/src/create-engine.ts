// Chooses where to compute and opens it. Importing this file loads no TensorFlow.js: that happens when an engine is made.
import { type Engine, type EngineOptions, EngineUnavailableError } from "./engine.ts";

/** Throws EngineUnavailableError where the named backend cannot be had; `auto` always ends at the CPU. */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const { TfEngine } = await import("./tf-engine.ts");
  const backend = await open(options);
  return new TfEngine(backend);
}

async function open(options: EngineOptions) {
  const { preference } = options;
  switch (preference) {
    case "webgpu":
      return await openGpu(options);
    case "wasm":
      return await openWasm();
    case "cpu":
      return await openCpu();
    case "auto":
      for (const attempt of [() => openGpu(options), openWasm])
        try {
          return await attempt();
        } catch (error) {
          if (!(error instanceof EngineUnavailableError)) throw error;
        }
      return await openCpu();
    default:
      throw preference satisfies never;
  }
}

async function openGpu({ gpu = globalThis.navigator?.gpu, allowSoftwareGpu }: EngineOptions) {
  // `navigator.gpu` is absent outside a secure context and in Node, whatever the types say.
  if ((gpu as GPU | undefined) === undefined) throw new EngineUnavailableError("no-webgpu", "This environment has no WebGPU");
  const { openWebGpu } = await import("./webgpu-backend.ts");
  return openWebGpu(gpu, allowSoftwareGpu);
}

async function openWasm() {
  return (await import("./wasm-backend.ts")).openWasm();
}

async function openCpu() {
  return (await import("./cpu-backend.ts")).openCpu();
}
