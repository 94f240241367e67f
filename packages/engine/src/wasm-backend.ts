// Our own WASM kernels as a backend of the engine: a step is recorded at its first run and replayed at all others.
import type * as tf from "@tensorflow/tfjs-core";
import type { ModelTensors } from "@weft/models/tf";
import type { Batch } from "@weft/tensors";
import { FixedInputs, FlatParameters, registerWasmBackend, Tape, WASM, type WasmBackend, WasmMemoryError } from "@weft/wasm";
import { type Backend, DeviceMemoryError, NEVER_LOST, NO_OPTIONAL_KERNELS, type Program, readHost, useBackend } from "./backend.ts";
import { EngineUnavailableError } from "./engine.ts";

export async function openWasm(): Promise<Backend> {
  const backend = await registerWasmBackend().catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new EngineUnavailableError("no-wasm", `WebAssembly could not be started: ${reason}`);
  });
  return {
    info: { backend: "wasm", description: "WebAssembly with SIMD", software: false },
    lost: NEVER_LOST,
    use: () => useBackend(WASM),
    parameters: (layout) => new FlatParameters(backend, layout),
    read: (tensors) => Promise.resolve(readHost(tensors)),
    program: (example, run) => new WasmProgram(backend, example, run),
    optional: NO_OPTIONAL_KERNELS,
    // It stays registered: other engines of this thread may use it, and it holds nothing but their tensors.
    dispose: () => undefined,
  };
}

/** Recorded at its first run, replayed at all others. */
class WasmProgram implements Program {
  readonly #backend: WasmBackend;
  readonly #inputs: FixedInputs<keyof ModelTensors>;
  readonly #compute: () => readonly tf.Tensor[];
  #tape: Tape | null = null;

  constructor(backend: WasmBackend, { rows, inputs, targets }: Batch, compute: (batch: ModelTensors) => readonly tf.Tensor[]) {
    this.#backend = backend;
    this.#inputs = new FixedInputs(backend, {
      inputs: { shape: [rows, inputs.length / rows], dtype: inputs instanceof Int32Array ? "int32" : "float32" },
      targets: { shape: [targets.length], dtype: "int32" },
      weights: { shape: [rows], dtype: "float32" },
    });
    this.#compute = () => compute(this.#inputs.tensors as unknown as ModelTensors);
  }

  async prepare(): Promise<void> {}

  async run({ inputs, targets, weights }: Batch): Promise<Float32Array> {
    this.#inputs.write({ inputs, targets, weights });
    if (this.#tape === null) this.#tape = this.#record();
    else this.#tape.replay();
    return this.#tape.read();
  }

  #record(): Tape {
    try {
      return Tape.record(this.#backend, this.#compute);
    } catch (error) {
      if (error instanceof WasmMemoryError) throw new DeviceMemoryError(error.message);
      throw error;
    }
  }

  dispose(): void {
    this.#tape?.dispose();
    this.#tape = null;
    this.#inputs.dispose();
  }
}
