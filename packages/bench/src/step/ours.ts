// Our engine in bench `step`: on WebGPU a recorded step with the optimiser on the device, on WASM one thread. A bundle by itself.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { createEngine } from "@weft/engine";
import { initialWeights, layoutFor } from "@weft/models";
import { lossSum, type ModelTensors } from "@weft/models/tf";
import {
  adapterKey,
  compileAhead,
  DeviceInputs,
  DeviceOptimizer,
  DeviceParameters,
  FlatReadBack,
  flush,
  forgetfulMemory,
  installKernels,
  openDevice,
  registerWebGpuBackend,
  sourceOf,
  Tape,
  tuneMatmul,
} from "@weft/webgpu";
import { batchOf, registry, type StepCase, type Trainer } from "./contender.ts";
import { LEARNING_RATE, optimizerOf, specOf, trainerOn } from "./on-engine.ts";

interface Opened {
  readonly backend: WebGPUBackend;
  readonly software: boolean;
  readonly readBack: FlatReadBack;
  tune(): Promise<void>;
  /** Resolves when all that was asked of the device is done. */
  done(): Promise<void>;
}
let opened: Promise<Opened> | null = null;
function gpu(): Promise<Opened> {
  opened ??= openDevice({ gpu: navigator.gpu, allowSoftware: true }).then(async (result) => {
    if (!result.ok) throw new Error(result.message);
    const backend = await registerWebGpuBackend(result.value);
    installKernels();
    tf.env().set("PROD", true);
    const { software, info } = result.value;
    const tune = async (): Promise<void> => {
      const now = (): number => performance.now();
      await tuneMatmul(backend, { memory: forgetfulMemory(), adapter: adapterKey(info), budgetMs: 60_000, now });
      use("webgpu");
    };
    const done = async (): Promise<void> => {
      use("webgpu");
      flush(backend);
      await backend.queue.onSubmittedWorkDone();
    };
    return { backend, software, readBack: new FlatReadBack(backend), tune, done };
  });
  return opened;
}
const use = (name: string): void => {
  if (tf.getBackend() !== name) void tf.setBackend(name);
};

async function onWebGpu(given: StepCase): Promise<Trainer> {
  const { backend, software, readBack, tune } = await gpu();
  use("webgpu");
  const model = specOf(given);
  const layout = layoutFor(model);
  const { inputs, targets } = batchOf(given);
  const weights = new Float32Array(given.rows).fill(1);
  const parameters = new DeviceParameters(backend, layout);
  parameters.write(initialWeights(model, 5));
  const optimizer = new DeviceOptimizer(backend, parameters, { optimizer: optimizerOf(given), clipNorm: Number.POSITIVE_INFINITY });
  const batch = new DeviceInputs(backend, {
    inputs: { shape: [given.rows, inputs.length / given.rows], dtype: inputs instanceof Int32Array ? "int32" : "float32" },
    targets: { shape: [targets.length], dtype: "int32" },
    weights: { shape: [given.rows], dtype: "float32" },
  });
  const compute = (): tf.Tensor[] =>
    tf.tidy(() => {
      const loss = (...tensors: tf.Tensor[]): tf.Scalar =>
        lossSum(
          model,
          new Map(layout.parameters.map(({ name }, index) => [name, tensors[index] as tf.Tensor])),
          batch.tensors as unknown as ModelTensors,
        );
      const { value, grads } = tf.valueAndGrads(loss)([...parameters.tensors]);
      optimizer.apply(grads);
      return [value];
    });
  const compile = (): Promise<void> => compileAhead(backend, () => tf.dispose(compute()));
  await compile();
  // As the engine does: a software adapter is no device to measure kernels on for whole steps.
  if (!software) await tune();
  await compile();
  let tape: Tape | null = null;
  const record = (): Promise<Float32Array> => {
    tape = Tape.record(backend, compute);
    return readBack.readSources(tape.outputs);
  };
  return {
    step() {
      use("webgpu");
      batch.write({ inputs, targets, weights });
      optimizer.advance(LEARNING_RATE, 1 / given.rows);
      const values = tape === null ? record() : readBack.replay(tape);
      return values.then(([sum]) => (sum as number) / given.rows);
    },
    heldBytes: () => null,
    dispose() {
      use("webgpu");
      tape?.dispose();
      for (const each of [batch, optimizer, parameters]) each.dispose();
    },
  };
}

async function onWasm(given: StepCase): Promise<Trainer> {
  const engine = await createEngine({ preference: "wasm", allowSoftwareGpu: false });
  return trainerOn(engine, given, () => tf.memory().numBytes);
}

registry.steps.push({ name: "weft webgpu", trainer: onWebGpu }, { name: "weft wasm", trainer: onWasm });

registry.matmuls.push({
  name: "weft webgpu",
  async product(n, transposeA, transposeB) {
    const { tune, done } = await gpu();
    use("webgpu");
    const [a, b] = [tf.randomUniform([n, n]), tf.randomUniform([n, n])] as [tf.Tensor2D, tf.Tensor2D];
    tf.dispose(tf.matMul(a, b, transposeA, transposeB));
    await tune();
    return {
      ready: done,
      async run() {
        const y = tf.matMul(a, b, transposeA, transposeB);
        await done();
        y.dispose();
      },
      dispose: () => tf.dispose([a, b]),
    };
  },
});
registry.readBacks.push({
  name: "weft webgpu",
  async readBack(tensors, size) {
    const { backend, readBack, done } = await gpu();
    use("webgpu");
    const sources = Array.from({ length: tensors }, () => tf.add(tf.randomUniform([size]), 1));
    return {
      ready: done,
      async run() {
        use("webgpu");
        // As the engine does.
        await readBack.readSources(sources.map((source) => sourceOf(backend, source)));
      },
      dispose: () => tf.dispose(sources),
    };
  },
});
