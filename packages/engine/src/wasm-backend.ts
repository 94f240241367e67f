// Our own WASM kernels as a backend of the engine, on one thread or several: a step is recorded at its first run and replayed at all others.
import type * as tf from "@tensorflow/tfjs-core";
import type { ModelTensors } from "@weft/models/tf";
import type { Batch } from "@weft/tensors";
import {
  FixedInputs,
  FlatOptimizer,
  FlatParameters,
  type Output,
  registerWasmBackend,
  Tape,
  type ThreadOptions,
  unregisterWasmBackend,
  type WasmBackend,
  WasmMemoryError,
} from "@weft/wasm";
import {
  type Backend,
  DeviceMemoryError,
  NEVER_LOST,
  NO_OPTIONAL_KERNELS,
  type Program,
  readHost,
  type Trainer,
  type TrainerOptions,
  useBackend,
} from "./backend.ts";
import { EngineUnavailableError } from "./engine.ts";

export async function openWasm(wanted?: ThreadOptions): Promise<Backend> {
  const backend = await registerWasmBackend(wanted).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new EngineUnavailableError("no-wasm", `WebAssembly could not be started: ${reason}`);
  });
  const { threads, lost } = backend.instance;
  let open = true;
  return {
    info: {
      backend: "wasm",
      description: threads > 1 ? `WebAssembly with SIMD, ${threads} threads` : "WebAssembly with SIMD",
      software: false,
    },
    lost: threads > 1 ? lost : NEVER_LOST,
    use: () => useBackend(backend.name),
    parameters: (layout) => new FlatParameters(backend, layout),
    read: (tensors) => Promise.resolve(readHost(tensors)),
    program: (example, run) => new WasmProgram(backend, example, run),
    trainer: async (parameters, program, options) => {
      if (!(parameters instanceof FlatParameters && program instanceof WasmProgram)) throw new Error("Not of the WASM backend");
      return inMemory(() => new WasmTrainer(backend, parameters, program, options));
    },
    optional: NO_OPTIONAL_KERNELS,
    // Other engines of this thread may use it too; the last one ends its threads.
    dispose() {
      if (open) unregisterWasmBackend(backend);
      open = false;
    },
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

  async run(batch: Batch): Promise<Float32Array> {
    return this.#computed(batch).read();
  }

  /** Computes, and says where the results lie. */
  compute(batch: Batch): readonly Output[] {
    return this.#computed(batch).outputs;
  }

  #computed({ inputs, targets, weights }: Batch): Tape {
    this.#inputs.write({ inputs, targets, weights });
    if (this.#tape === null) this.#tape = inMemory(() => Tape.record(this.#backend, this.#compute));
    else this.#tape.replay();
    return this.#tape;
  }

  dispose(): void {
    this.#tape?.dispose();
    this.#tape = null;
    this.#inputs.dispose();
  }
}

class WasmTrainer implements Trainer {
  readonly #backend: WasmBackend;
  readonly #parameters: FlatParameters;
  readonly #program: WasmProgram;
  readonly #optimizer: FlatOptimizer;
  #lossSum = 0;

  constructor(backend: WasmBackend, parameters: FlatParameters, program: WasmProgram, { layout, optimizer, clipNorm }: TrainerOptions) {
    this.#backend = backend;
    this.#parameters = parameters;
    this.#program = program;
    this.#optimizer = new FlatOptimizer(backend, parameters, layout, { optimizer, clipNorm });
  }

  async step(batches: readonly Batch[], samples: number, learningRate: number): Promise<void> {
    for (const [index, batch] of batches.entries()) {
      const outputs = this.#program.compute(batch);
      this.#optimizer.gather(outputs.slice(0, -1), index > 0);
      this.#lossSum += this.#backend.instance.f32((outputs.at(-1) as Output).at, 1)[0] as number;
    }
    this.#optimizer.apply(learningRate, 1 / samples);
  }

  async read(): Promise<{ readonly weights: Float32Array; readonly lossSum: number }> {
    const lossSum = this.#lossSum;
    this.#lossSum = 0;
    return { weights: this.#parameters.read(), lossSum };
  }

  reset(): void {
    this.#optimizer.reset();
    this.#lossSum = 0;
  }

  dispose(): void {
    this.#optimizer.dispose();
  }
}

function inMemory<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof WasmMemoryError) throw new DeviceMemoryError(error.message);
    throw error;
  }
}
