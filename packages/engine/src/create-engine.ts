// Chooses where to compute and opens it. Importing this file loads no TensorFlow.js: that happens when an engine is made.
import { type Engine, type EngineOptions, EngineUnavailableError } from "./engine.ts";

/** Throws EngineUnavailableError where the named backend cannot be had; `auto` always ends at the CPU. */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const [{ TfEngine }, { NEVER_LOST }] = await Promise.all([import("./tf-engine.ts"), import("./backend.ts")]);
  const backend = await open(options);
  const first = new TfEngine(backend);
  if (backend.lost === NEVER_LOST) return first;
  const { SteadyEngine } = await import("./steady-engine.ts");
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  let before = first;
  const reopen = async (losses: number): Promise<Engine> => {
    const onGpu = first.device.backend === "webgpu" && losses < MOST_LOSSES;
    before = new TfEngine(await openInPlace(options, onGpu), before);
    return before;
  };
  // One thread is made in an instant and never lost.
  const standIn = async (): Promise<Engine> => new TfEngine(await openWasm({}));
  return new SteadyEngine(first, { reopen, standIn, sleep });
}

/** A GPU that was lost as often as this is left alone: whatever ails it, the processor computes on. */
const MOST_LOSSES = 3;

async function openInPlace(options: EngineOptions, onGpu: boolean) {
  if (onGpu)
    try {
      return await openGpu(options);
    } catch (error) {
      if (!(error instanceof EngineUnavailableError)) throw error;
    }
  return openWasm(options);
}

async function open(options: EngineOptions) {
  const { preference } = options;
  switch (preference) {
    case "webgpu":
      return await openGpu(options);
    case "wasm":
      return await openWasm(options);
    case "cpu":
      return await openCpu();
    case "auto":
      for (const attempt of [() => openGpu(options), () => openWasm(options)])
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

async function openGpu({ gpu = globalThis.navigator?.gpu, allowSoftwareGpu, memory }: EngineOptions) {
  // `navigator.gpu` is absent outside a secure context and in Node, whatever the types say.
  if ((gpu as GPU | undefined) === undefined) throw new EngineUnavailableError("no-webgpu", "This environment has no WebGPU");
  const { openWebGpu } = await import("./webgpu-backend.ts");
  return openWebGpu({ gpu, allowSoftware: allowSoftwareGpu, memory });
}

async function openWasm({ threads }: Pick<EngineOptions, "threads">) {
  return (await import("./wasm-backend.ts")).openWasm(threads);
}

async function openCpu() {
  return (await import("./cpu-backend.ts")).openCpu();
}
