// Replays against fresh runs of the same computation, with new inputs; what a tape holds and gives back. A missing adapter fails.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { randomStream } from "@weft/tensors";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compileAhead, DeviceInputs, FlatReadBack, openDevice, registerWebGpuBackend, Tape, unregisterWebGpuBackend } from "./index.ts";

const ROWS = 5;
const WIDTH = 6;

describe("a tape", { timeout: 90_000 }, () => {
  let backend: WebGPUBackend;
  let readBack: FlatReadBack;
  let inputs: DeviceInputs<"x" | "ids">;
  beforeAll(async () => {
    const opened = await openDevice({ gpu: navigator.gpu, allowSoftware: true });
    if (!opened.ok) throw new Error(`${opened.message}: see the flags in vite.config.ts`);
    backend = await registerWebGpuBackend(opened.value);
    readBack = new FlatReadBack(backend);
    inputs = new DeviceInputs(backend, { x: { shape: [ROWS, WIDTH], dtype: "float32" }, ids: { shape: [ROWS], dtype: "int32" } });
    await compileAhead(backend, () => tf.dispose(compute()));
  });
  afterAll(() => {
    inputs.dispose();
    readBack.dispose();
    unregisterWebGpuBackend(backend);
  });

  /** More dispatches than one submit takes, constants of the CPU, and results that are freed and whose buffers are used again. */
  function compute(): tf.Tensor[] {
    return tf.tidy(() => {
      const { x, ids } = inputs.tensors;
      let y = tf.add(x, tf.oneHot(ids as tf.Tensor1D, WIDTH));
      for (let round = 0; round < 12; round++) {
        const constant = tf.tensor2d(
          Float32Array.from({ length: ROWS * WIDTH }, (_, index) => Math.sin(index + round)),
          [ROWS, WIDTH],
        );
        y = tf.add(tf.mul(tf.tanh(y), constant), tf.mean(y, 1, true));
      }
      return [y, tf.sum(y)];
    });
  }
  function draw(seed: number): void {
    const stream = randomStream(seed, 0);
    inputs.write({
      x: Float32Array.from({ length: ROWS * WIDTH }, () => stream.normal()),
      ids: Int32Array.from({ length: ROWS }, () => Math.floor(stream.uniform() * WIDTH)),
    });
  }
  async function eager(seed: number): Promise<Float32Array> {
    draw(seed);
    const tensors = compute();
    const values = await readBack.read(tensors);
    tf.dispose(tensors);
    return values;
  }

  it("gives at each replay what a fresh run gives, bit for bit, whatever runs in between", async () => {
    draw(1);
    const tape = Tape.record(backend, compute);
    expect(tape.dispatches).toBeGreaterThan(32);
    expect(await readBack.readSources(tape.outputs)).toEqual(await eager(1));
    const seen = new Set<number>();
    for (let seed = 2; seed < 8; seed++) {
      draw(seed);
      tape.replay();
      const replayed = await readBack.readSources(tape.outputs);
      expect(replayed).toEqual(await eager(seed));
      seen.add(replayed[0] as number);
    }
    expect(seen.size).toBe(6);
    tape.dispose();
  });

  it("submits at most 16 dispatches at a time", async () => {
    const tape = Tape.record(backend, compute);
    let [dispatches, most, submits] = [0, 0, 0];
    const { dispatchWorkgroups } = GPUComputePassEncoder.prototype;
    const { submit } = GPUQueue.prototype;
    GPUComputePassEncoder.prototype.dispatchWorkgroups = function (this: GPUComputePassEncoder, ...workgroups) {
      dispatches++;
      dispatchWorkgroups.apply(this, workgroups);
    };
    GPUQueue.prototype.submit = function (this: GPUQueue, buffers) {
      most = Math.max(most, dispatches);
      dispatches = 0;
      submits++;
      submit.call(this, buffers);
    };
    try {
      tape.replay();
    } finally {
      GPUComputePassEncoder.prototype.dispatchWorkgroups = dispatchWorkgroups;
      GPUQueue.prototype.submit = submit;
    }
    expect(most).toBe(16);
    expect(submits).toBe(Math.ceil(tape.dispatches / 16));
    tape.dispose();
  });

  it("holds the same memory after 200 replays, makes no buffer, and gives all back when it ends", async () => {
    const before = backend.memory();
    const tensors = tf.memory().numTensors;
    const tape = Tape.record(backend, compute);
    const held = backend.memory();
    expect(held.numBytesAllocatedInGPU).toBeGreaterThan(before.numBytesAllocatedInGPU);
    let made = 0;
    const { createBuffer } = GPUDevice.prototype;
    GPUDevice.prototype.createBuffer = function (this: GPUDevice, descriptor) {
      made++;
      return createBuffer.call(this, descriptor);
    };
    try {
      for (let step = 0; step < 200; step++) {
        draw(step);
        tape.replay();
      }
    } finally {
      GPUDevice.prototype.createBuffer = createBuffer;
    }
    await readBack.readSources(tape.outputs);
    expect(made).toBe(0);
    expect(backend.memory()).toEqual(held);
    expect(tf.memory().numTensors).toBe(tensors);
    tape.dispose();
    expect(backend.memory()).toEqual(before);
    expect(await eager(3)).toEqual(await eager(3));
  });

  it("leaves TensorFlow.js as it was when a recording fails half-way", async () => {
    const before = await eager(9);
    const manager = backend.bufferManager;
    expect(() =>
      Tape.record(backend, () => {
        tf.dispose(compute());
        throw new Error("half-way");
      }),
    ).toThrow("half-way");
    expect(backend.bufferManager).toBe(manager);
    expect(await eager(9)).toEqual(before);
  });

  it("refuses inputs of another size", () => {
    expect(() => inputs.write({ x: new Float32Array(3), ids: new Int32Array(ROWS) })).toThrow("3 values for x, which holds 30");
  });
});
