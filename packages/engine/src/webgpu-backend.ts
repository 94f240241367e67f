// TensorFlow.js on a GPUDevice of our own, as a backend of the engine. Loaded only where there is WebGPU.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import type { ModelTensors } from "@weft/models/tf";
import type { ModelSpec } from "@weft/protocol";
import type { Batch } from "@weft/tensors";
import {
  adapterKey,
  canHalf,
  choicesOf,
  compileAhead,
  DEVICE_CODECS,
  DeviceEncoder,
  DeviceInputs,
  DeviceParameters,
  encodesRightly,
  FlatReadBack,
  forgetfulMemory,
  HALF,
  inPrecision,
  installKernels,
  type KernelMemory,
  OPTIONAL_KERNELS,
  openDevice,
  registerWebGpuBackend,
  restoreKernel,
  type Source,
  strikeKernel,
  Tape,
  tuneMatmul,
  unregisterWebGpuBackend,
  WEBGPU,
} from "@weft/webgpu";
import { type Backend, DeviceMemoryError, type Encoders, type Program, useBackend } from "./backend.ts";
import { DevicePacker } from "./device-packer.ts";
import { DeviceTrainer } from "./device-trainer.ts";
import { EngineUnavailableError } from "./engine.ts";

export interface WebGpuOptions {
  readonly gpu: GPU;
  readonly allowSoftware: boolean;
  readonly memory?: KernelMemory | undefined;
}

/** A kernel that was struck is tried again after this: drivers are mended, and so are kernels. */
const STRUCK_FOR_MS = 14 * 24 * 3600 * 1000;
/** Measuring kernels is part of warming up, which somebody waits for. */
const TUNING_MS = 2_000;

export async function openWebGpu({ gpu, allowSoftware, memory = forgetfulMemory() }: WebGpuOptions): Promise<Backend> {
  const opened = await openDevice({ gpu, allowSoftware });
  if (!opened.ok) throw new EngineUnavailableError("no-webgpu", opened.message);
  const { device, description, software, info } = opened.value;
  const backend = await registerWebGpuBackend(opened.value);
  installKernels();
  const adapter = adapterKey(info);
  const remembered = await struckBefore(memory, adapter);
  for (const name of remembered) strikeKernel(name);
  const readBack = new FlatReadBack(backend);
  const struckTilings: string[] = [];
  const tune = async (): Promise<boolean> => {
    // A software adapter is no device to be fast on: what is measured there says nothing.
    if (software || choicesOf(backend).wanted.size === 0) return false;
    const now = (): number => performance.now();
    const struck = await tuneMatmul(backend, { memory, adapter, budgetMs: TUNING_MS, now });
    struckTilings.push(...struck.map(({ kernel, reason }) => `${kernel} (${reason})`));
    useBackend(WEBGPU);
    return true;
  };
  return {
    info: { backend: "webgpu", description, software },
    lost: opened.value.lost.then(({ message }) => message || "The GPU was lost"),
    use: () => useBackend(WEBGPU),
    parameters: (layout) => new DeviceParameters(backend, layout),
    read: (tensors) => readBack.read(tensors),
    program: (example, run, precision) =>
      new DeviceProgram(backend, readBack, example, (batch) => inPrecision(precision, () => run(batch)), tune),
    half: {
      name: HALF,
      get usable() {
        return canHalf(backend);
      },
    },
    trainer: async (parameters, program, { optimizer, clipNorm }) => {
      if (!(parameters instanceof DeviceParameters && program instanceof DeviceProgram)) throw new Error("Not of the WebGPU backend");
      const compute = (batch: Batch): Promise<readonly Source[]> => program.compute(batch);
      const { made, enough } = inMemory(device, () => new DeviceTrainer(backend, { parameters, readBack, optimizer, clipNorm, compute }));
      await enough;
      return made;
    },
    encoders: encodersOf(backend),
    optional: {
      names: OPTIONAL_KERNELS,
      get remembered() {
        return [...remembered, ...struckTilings];
      },
      strike: strikeKernel,
      restore: restoreKernel,
      remember: (struck) => memory.set(struckKey(adapter), JSON.stringify({ struck, untilMs: Date.now() + STRUCK_FOR_MS })),
    },
    capacity: {
      rows: async (model) => Number(await memory.get(rowsKey(adapter, model))) || null,
      remember: (model, rows) => memory.set(rowsKey(adapter, model), String(rows)),
    },
    dispose: () => {
      readBack.dispose();
      unregisterWebGpuBackend(backend);
      device.destroy();
    },
  };
}

function encodersOf(backend: WebGPUBackend): Encoders {
  const { device } = backend;
  /** By codec; null where the device gets it wrong. */
  const found = new Map<string, Promise<DeviceEncoder | null>>();
  const encoderOf = (codec: string): Promise<DeviceEncoder | null> => {
    const known = found.get(codec);
    if (known !== undefined) return known;
    const made = rightEncoder(device, codec);
    found.set(codec, made);
    return made;
  };
  return {
    codecs: DEVICE_CODECS,
    packer: async (codec, parameters, program, { size }) => {
      if (!(parameters instanceof DeviceParameters && program instanceof DeviceProgram)) throw new Error("Not of the WebGPU backend");
      const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
      if (4 * size > Math.min(maxBufferSize, maxStorageBufferBindingSize)) return null;
      const encoder = await encoderOf(codec);
      if (encoder === null) return null;
      const compute = (batch: Batch): Promise<readonly Source[]> => program.compute(batch);
      const { made, enough } = inMemory(device, () => new DevicePacker(backend, { parameters, encoder, size, compute }));
      try {
        await enough;
        return made;
      } catch (error) {
        made.dispose();
        if (error instanceof DeviceMemoryError) return null;
        throw error;
      }
    },
  };
}

/** Null where the device does not compile it, or encodes otherwise than the codec. */
async function rightEncoder(device: GPUDevice, codec: string): Promise<DeviceEncoder | null> {
  try {
    const encoder = await DeviceEncoder.compile(device, codec);
    return (await encodesRightly(device, encoder)) ? encoder : null;
  } catch (error) {
    if (error instanceof Error && error.name === "GPUPipelineError") return null;
    throw error;
  }
}

const struckKey = (adapter: string): string => `struck kernels ${adapter}`;
const rowsKey = (adapter: string, model: ModelSpec): string => `rows ${JSON.stringify(model)} ${adapter}`;

async function struckBefore(memory: KernelMemory, adapter: string): Promise<readonly string[]> {
  try {
    const kept = JSON.parse((await memory.get(struckKey(adapter))) ?? "null") as {
      readonly struck: unknown;
      readonly untilMs: number;
    } | null;
    if (kept === null || !(kept.untilMs > Date.now()) || !Array.isArray(kept.struck)) return [];
    return OPTIONAL_KERNELS.filter((name) => (kept.struck as unknown[]).includes(name));
  } catch {
    // Not ours, or damaged: as if nothing had been kept.
    return [];
  }
}

/** What the device lacks memory for does not fail when it is made, but when its scope ends. */
function inMemory<T>(device: GPUDevice, make: () => T): { readonly made: T; readonly enough: Promise<void> } {
  device.pushErrorScope("out-of-memory");
  try {
    return { made: make(), enough: scopeOf(device) };
  } catch (error) {
    void scopeOf(device).catch(() => undefined);
    throw error;
  }
}
/** A lost device has no scopes; its loss is told elsewhere. */
const scopeOf = (device: GPUDevice): Promise<void> =>
  device.popErrorScope().then(
    (error) => {
      if (error !== null) throw new DeviceMemoryError(`The GPU's memory is full: ${error.message}`);
    },
    () => undefined,
  );

/** Recorded at its first run, replayed at all others. */
class DeviceProgram implements Program {
  readonly #backend: WebGPUBackend;
  readonly #readBack: FlatReadBack;
  readonly #inputs: DeviceInputs<keyof ModelTensors>;
  readonly #compute: () => readonly tf.Tensor[];
  readonly #tune: () => Promise<boolean>;
  #tape: Tape | null = null;

  constructor(
    backend: WebGPUBackend,
    readBack: FlatReadBack,
    example: Batch,
    compute: (batch: ModelTensors) => readonly tf.Tensor[],
    tune: () => Promise<boolean>,
  ) {
    this.#backend = backend;
    this.#readBack = readBack;
    this.#tune = tune;
    const { rows, inputs, targets } = example;
    this.#inputs = new DeviceInputs(backend, {
      inputs: { shape: [rows, inputs.length / rows], dtype: inputs instanceof Int32Array ? "int32" : "float32" },
      targets: { shape: [targets.length], dtype: "int32" },
      weights: { shape: [rows], dtype: "float32" },
    });
    this.#compute = () => compute(this.#inputs.tensors as unknown as ModelTensors);
  }

  async prepare(): Promise<void> {
    const compile = (): Promise<void> => compileAhead(this.#backend, () => tf.dispose([...this.#compute()]));
    await compile();
    // Which products there are is known now; the tilings that are found fastest are other pipelines.
    if (await this.#tune()) await compile();
  }

  run(batch: Batch): Promise<Float32Array> {
    return this.#computed(
      batch,
      ({ outputs }) => this.#readBack.readSources(outputs),
      (tape) => this.#readBack.replay(tape),
    );
  }

  /** Computes, and says where the results lie. */
  compute(batch: Batch): Promise<readonly Source[]> {
    return this.#computed(
      batch,
      async ({ outputs }) => outputs,
      async (tape) => {
        tape.replay();
        return tape.outputs;
      },
    );
  }

  async #computed<T>(
    { inputs, targets, weights }: Batch,
    recorded: (tape: Tape) => Promise<T>,
    replayed: (tape: Tape) => Promise<T>,
  ): Promise<T> {
    this.#inputs.write({ inputs, targets, weights });
    if (this.#tape !== null) return replayed(this.#tape);
    const { made, enough } = inMemory(this.#backend.device, () => {
      const tape = Tape.record(this.#backend, this.#compute);
      return { tape, result: recorded(tape) };
    });
    const settled = made.result.then(
      () => undefined,
      () => undefined,
    );
    try {
      await enough;
    } catch (error) {
      await settled;
      useBackend(WEBGPU);
      made.tape.dispose();
      throw error;
    }
    this.#tape = made.tape;
    return made.result;
  }

  dispose(): void {
    this.#tape?.dispose();
    this.#tape = null;
    this.#inputs.dispose();
  }
}
