// TensorFlow.js as it comes, on three backends of its own: a bundle by itself, so that no kernel of ours stands in its registry.
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-backend-webgpu";
import { setThreadsCount, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/register_all_gradients";
import { batchOf, type Contender, type EngineName, registry, type StepCase, type Trainer } from "./contender.ts";
import { stockModel } from "./stock-models.ts";

setWasmPaths("/wasm/");
setThreadsCount(navigator.hardwareConcurrency);

async function trainer(backend: string, given: StepCase): Promise<Trainer | null> {
  // Its WASM has no gradient of a convolution's filter.
  if (backend === "wasm" && given.model.kind === "cnn") return null;
  await tf.setBackend(backend);
  await tf.ready();
  const { variables, optimizer, loss } = stockModel(given, backend === "wasm");
  const { inputs, targets } = batchOf(given);
  const use = (): void => {
    if (tf.getBackend() !== backend) void tf.setBackend(backend);
  };
  return {
    step() {
      use();
      const value = tf.tidy(() => {
        const x = tf.tensor2d(inputs, [given.rows, inputs.length / given.rows], inputs instanceof Int32Array ? "int32" : "float32");
        const y = tf.tensor1d(targets, "int32");
        return optimizer.minimize(() => loss(x, y), true, [...variables]) as tf.Scalar;
      });
      return value.data().then(([first]) => {
        value.dispose();
        return first as number;
      });
    },
    heldBytes: () => {
      use();
      return tf.memory().numBytes;
    },
    dispose() {
      use();
      tf.dispose([...variables]);
      optimizer.dispose();
    },
  };
}

const contender = (name: EngineName, backend: string): Contender => ({ name, trainer: (given) => trainer(backend, given) });
registry.steps.push(contender("stock webgpu", "webgpu"), contender("stock wasm", "wasm"), contender("stock cpu", "cpu"));

/** What its backend has recorded and not yet submitted. */
interface Recording {
  readonly commandEncoder: GPUCommandEncoder | null;
  readonly queue: GPUQueue;
  endComputePassEncoder(): void;
  submitQueue(): void;
}
/** Resolves when all that was asked of the device is done. */
async function done(): Promise<void> {
  void tf.setBackend("webgpu");
  const backend = tf.backend() as unknown as Recording;
  if (backend.commandEncoder !== null) {
    backend.endComputePassEncoder();
    backend.submitQueue();
  }
  await backend.queue.onSubmittedWorkDone();
}

registry.matmuls.push({
  name: "stock webgpu",
  async product(n, transposeA, transposeB) {
    await tf.setBackend("webgpu");
    const [a, b] = [tf.randomUniform([n, n]), tf.randomUniform([n, n])] as [tf.Tensor2D, tf.Tensor2D];
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
  name: "stock webgpu",
  async readBack(tensors, size) {
    await tf.setBackend("webgpu");
    const sources = Array.from({ length: tensors }, () => tf.randomUniform([size]));
    let fresh: tf.Tensor[] = [];
    return {
      async ready() {
        void tf.setBackend("webgpu");
        // Values that were read once are kept on the CPU: each reading is of tensors made anew.
        tf.dispose(fresh);
        fresh = tf.tidy(() => sources.map((source) => tf.add(source, 1)));
        await done();
      },
      async run() {
        await Promise.all(fresh.map((tensor) => tensor.data()));
      },
      dispose: () => tf.dispose([...sources, ...fresh]),
    };
  },
});
