// What the engine does when a GPU goes away under it, when its memory is full, and what it remembers of a device. Real devices, lost on
// purpose; the crash of the whole GPU process is a test of the bench. A missing adapter fails.
import { probeBatch, probeWeights } from "@weft/models";
import type { Batch, StepResult } from "@weft/tensors";
import { forgetfulMemory } from "@weft/webgpu";
import { afterEach, describe, expect, it, vi } from "vitest";
import { relativeError, SMALL_MODELS } from "../../models/test/cases.ts";
import { reference } from "../../models/test/reference-models.ts";
import { createEngine, type Engine, type EngineOptions } from "./index.ts";

const TIMEOUT_MS = 90_000;
const model = SMALL_MODELS.mlp;
const weights = probeWeights(model, 11);
const batch = (): Batch => probeBatch(model, 6, 5, 12);
const expected = reference(model, weights, batch());

const isRight = ({ gradientSum, lossSum }: StepResult): void => {
  expect(relativeError(gradientSum, expected.gradientSum)).toBeLessThan(1e-5);
  expect(relativeError([lossSum], [expected.lossSum])).toBeLessThan(1e-5);
};

afterEach(() => vi.restoreAllMocks());

async function loaded(more: Partial<EngineOptions> = {}): Promise<{ readonly engine: Engine; readonly devices: GPUDevice[] }> {
  const devices: GPUDevice[] = [];
  const { requestDevice } = GPUAdapter.prototype;
  vi.spyOn(GPUAdapter.prototype, "requestDevice").mockImplementation(async function (this: GPUAdapter, descriptor) {
    const device = await requestDevice.call(this, descriptor);
    devices.push(device);
    return device;
  });
  const engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true, ...more });
  await engine.load(model, 6);
  await engine.setWeights(weights);
  return { engine, devices };
}

/** Steps until a GPU computes them; every one on the way is right too. */
async function backOnGpu(engine: Engine): Promise<void> {
  do isRight(await engine.step(batch()));
  while (engine.device.backend !== "webgpu");
}

describe("a GPU that is lost", { timeout: TIMEOUT_MS }, () => {
  it("in the middle of a step is replaced, and the step in hand comes out right, once", async () => {
    const { engine, devices } = await loaded();
    isRight(await engine.step(batch()));
    const pending = engine.step(batch());
    devices[0]?.destroy();
    isRight(await pending);
    expect(engine.device.backend).toBe("wasm");
    await backOnGpu(engine);
    expect(devices).toHaveLength(2);
    isRight(await engine.step(batch()));
    engine.dispose();
  });

  it("has WASM stand in, which is given what is set meanwhile, and so is the device that takes its place", async () => {
    const { engine, devices } = await loaded();
    devices[0]?.destroy();
    await devices[0]?.lost;
    isRight(await engine.step(batch()));
    expect(engine.device.backend).toBe("wasm");
    const others = probeWeights(model, 13);
    const wanted = reference(model, others, batch()).gradientSum;
    await engine.setWeights(others);
    const backends = new Set<string>();
    while (engine.device.backend !== "webgpu") {
      const { gradientSum } = await engine.step(batch());
      backends.add(engine.device.backend);
      expect(relativeError(gradientSum, wanted)).toBeLessThan(1e-5);
    }
    expect([...backends]).toEqual(["wasm", "webgpu"]);
    expect(devices).toHaveLength(2);
    engine.dispose();
  });

  it("has WASM stand in for another model too, which the next device then computes", async () => {
    const { engine, devices } = await loaded();
    devices[0]?.destroy();
    await devices[0]?.lost;
    isRight(await engine.step(batch()));
    const cnn = SMALL_MODELS.cnn;
    const [values, images] = [probeWeights(cnn, 14), probeBatch(cnn, 4, 4, 15)];
    const wanted = reference(cnn, values, images).gradientSum;
    await engine.load(cnn, 4);
    await engine.setWeights(values);
    for (let backend = engine.device.backend; backend !== "webgpu"; backend = engine.device.backend)
      expect(relativeError((await engine.step(images)).gradientSum, wanted)).toBeLessThan(1e-5);
    engine.dispose();
  });

  it("between steps is replaced at the next one, with the weights it had", async () => {
    const { engine, devices } = await loaded();
    devices[0]?.destroy();
    await devices[0]?.lost;
    await backOnGpu(engine);
    expect(devices).toHaveLength(2);
    engine.dispose();
  });

  it("again and again is left alone in the end: WASM goes on, and says so", async () => {
    const { engine, devices } = await loaded();
    for (let loss = 0; loss < 3; loss++) {
      const pending = engine.step(batch());
      devices.at(-1)?.destroy();
      isRight(await pending);
      if (loss < 2) await backOnGpu(engine);
    }
    for (let step = 0; step < 20; step++) isRight(await engine.step(batch()));
    expect(engine.device.backend).toBe("wasm");
    expect(devices).toHaveLength(3);
    isRight(await engine.step(batch()));
    expect((await engine.selfTest()).passed).toBe(true);
    engine.dispose();
  });

  it("with no adapter left goes on in WASM at once", async () => {
    const { engine, devices } = await loaded();
    vi.spyOn(navigator.gpu, "requestAdapter").mockResolvedValue(null);
    const pending = engine.step(batch());
    devices[0]?.destroy();
    isRight(await pending);
    expect(engine.device.backend).toBe("wasm");
    engine.dispose();
  });

  it("is not seen in faults of the caller", async () => {
    const { engine, devices } = await loaded();
    await expect(engine.step(probeBatch(model, 3, 3, 1))).rejects.toThrow("3 rows where 6 were loaded");
    await expect(engine.setWeights(new Float32Array(3))).rejects.toThrow("3 weights");
    expect(devices).toHaveLength(1);
    isRight(await engine.step(batch()));
    engine.dispose();
  });
});

describe("a GPU whose memory is full", { timeout: TIMEOUT_MS }, () => {
  /** A device that has no room for tapes of more than `rows` rows: it answers as a real one does, when the scope ends. */
  function roomFor(rows: number): void {
    let largest = 0;
    const { createBuffer } = GPUDevice.prototype;
    vi.spyOn(GPUDevice.prototype, "createBuffer").mockImplementation(function (this: GPUDevice, descriptor) {
      if (descriptor.label === "inputs") largest = descriptor.size / 4 / model.inputs;
      return createBuffer.call(this, descriptor);
    });
    const { popErrorScope } = GPUDevice.prototype;
    vi.spyOn(GPUDevice.prototype, "popErrorScope").mockImplementation(async function (this: GPUDevice) {
      const error = await popErrorScope.call(this);
      return largest > rows ? new GPUOutOfMemoryError("not enough memory left") : error;
    });
  }

  it("computes the same step in smaller pieces, remembers how small, and begins with that the next time", async () => {
    const memory = forgetfulMemory();
    const remembered = vi.spyOn(memory, "set");
    const first = await createEngine({ preference: "webgpu", allowSoftwareGpu: true, memory });
    expect((await first.selfTest()).passed).toBe(true);
    roomFor(2);
    await first.load(model, 6);
    await first.setWeights(weights);
    isRight(await first.step(batch()));
    isRight(await first.step(batch()));
    const rows = remembered.mock.calls.filter(([key]) => key.startsWith("rows ")).map(([, value]) => value);
    expect(rows).toEqual(["3", "2"]);
    first.dispose();
    const next = await createEngine({ preference: "webgpu", allowSoftwareGpu: true, memory });
    vi.restoreAllMocks();
    const again = vi.spyOn(memory, "set");
    await next.load(model, 6);
    await next.setWeights(weights);
    isRight(await next.step(batch()));
    expect(again).not.toHaveBeenCalled();
    next.dispose();
  });

  it("that holds not even one row says so", async () => {
    const engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
    await engine.selfTest();
    roomFor(0);
    await engine.load(model, 6);
    await engine.setWeights(weights);
    await expect(engine.step(batch())).rejects.toThrow("memory is full");
    vi.restoreAllMocks();
    engine.dispose();
  });
});

describe("a kernel that a device gets wrong", { timeout: TIMEOUT_MS }, () => {
  it("is remembered: the next engine on this device does without it from the start, until a while has passed", async () => {
    const tf = await import("@tensorflow/tfjs-core");
    const memory = forgetfulMemory();
    const first = await createEngine({ preference: "webgpu", allowSoftwareGpu: true, memory });
    const name = "WeftCrossEntropyGradient";
    const right = tf.getKernel(name, "webgpu");
    tf.unregisterKernel(name, "webgpu");
    tf.registerKernel({ ...right, kernelFunc: ({ inputs }) => [tf.zerosLike(inputs.logits as never)] });
    expect((await first.selfTest()).detail).toContain("without WeftCrossEntropy");
    first.dispose();
    const next = await createEngine({ preference: "webgpu", allowSoftwareGpu: true, memory });
    expect(tf.getKernel(name, "webgpu") ?? null).toBeNull();
    expect((await next.selfTest()).detail).toContain("without WeftCrossEntropy");
    next.dispose();
    vi.spyOn(Date, "now").mockReturnValue(Date.now() + 15 * 24 * 3600 * 1000);
    const later = await createEngine({ preference: "webgpu", allowSoftwareGpu: true, memory });
    expect((await later.selfTest()).detail).not.toContain("without");
    later.dispose();
  });
});
