// Local steps on WebGPU in a real browser: right, quiet on the bus, and begun again where the device was lost or its memory is full. A missing
// adapter fails.
import { probeWeights } from "@weft/models";
import type { LocalStepsResult } from "@weft/tensors";
import { forgetfulMemory } from "@weft/webgpu";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { relativeError, SMALL_MODELS } from "../../models/test/cases.ts";
import { countCalls } from "../test/count-calls.ts";
import { ADAMW, batchesOf, expectedSteps, localStepsSuite, SGD } from "../test/local-steps-suite.ts";
import { createEngine, type Engine } from "./index.ts";

const TIMEOUT_MS = 90_000;
const model = SMALL_MODELS.mlp;
const weights = probeWeights(model, 11);
const expected = expectedSteps(model, weights, ADAMW);
const isRight = (result: LocalStepsResult | null): void => {
  expect(result?.samples).toBe(expected.samples);
  expect(relativeError([result?.lossSum ?? 0], [expected.lossSum])).toBeLessThan(1e-5);
  expect(relativeError(result?.update ?? [], expected.update)).toBeLessThan(1e-4);
};

describe("local steps on WebGPU", { timeout: TIMEOUT_MS }, () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
  });
  afterAll(() => engine.dispose());
  localStepsSuite(() => engine);

  it.each([
    ["in one micro-batch", 6],
    ["in two", 4],
  ])("of a gpt %s: one map for all of them; nothing compiled, bound or allocated after the first time", async (_, rows) => {
    const gpt = SMALL_MODELS.gpt;
    await engine.load(gpt, rows);
    await engine.setWeights(probeWeights(gpt, 21));
    const steps = async (): Promise<void> => void (await engine.localSteps(SGD, batchesOf(gpt, rows)));
    await steps();
    await engine.setWeights(probeWeights(gpt, 22));
    expect(await countCalls(steps)).toMatchObject({ maps: 1, pipelines: 0, asyncPipelines: 0, bindGroups: 0, buffers: 0 });
  });
});

describe("local steps on a GPU that is lost or full", { timeout: TIMEOUT_MS }, () => {
  afterEach(() => vi.restoreAllMocks());

  it("are all taken again on the device in its place, and come out once and right", async () => {
    const devices: GPUDevice[] = [];
    const { requestDevice } = GPUAdapter.prototype;
    vi.spyOn(GPUAdapter.prototype, "requestDevice").mockImplementation(async function (this: GPUAdapter, descriptor) {
      const device = await requestDevice.call(this, descriptor);
      devices.push(device);
      return device;
    });
    const engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
    await engine.load(model, 6);
    await engine.setWeights(weights);
    const asked: number[] = [];
    const result = await engine.localSteps(ADAMW, async (step) => {
      asked.push(step);
      if (asked.length === 4) devices[0]?.destroy();
      return batchesOf(model, 6)(step);
    });
    isRight(result);
    expect(asked.slice(0, 4)).toEqual([0, 1, 2, 3]);
    expect(asked.slice(-5)).toEqual([0, 1, 2, 3, 4]);
    isRight(await engine.localSteps(ADAMW, batchesOf(model, 6)));
    await vi.waitFor(() => expect(devices).toHaveLength(2));
    engine.dispose();
  });

  it("are taken again on smaller pieces where the memory is full, and the size is remembered", async () => {
    const memory = forgetfulMemory();
    const remembered = vi.spyOn(memory, "set");
    const engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true, memory });
    expect((await engine.selfTest()).passed).toBe(true);
    let largest = 0;
    const { createBuffer } = GPUDevice.prototype;
    vi.spyOn(GPUDevice.prototype, "createBuffer").mockImplementation(function (this: GPUDevice, descriptor) {
      if (descriptor.label === "inputs") largest = descriptor.size / 4 / model.inputs;
      return createBuffer.call(this, descriptor);
    });
    const { popErrorScope } = GPUDevice.prototype;
    vi.spyOn(GPUDevice.prototype, "popErrorScope").mockImplementation(async function (this: GPUDevice) {
      const error = await popErrorScope.call(this);
      return largest > 2 ? new GPUOutOfMemoryError("not enough memory left") : error;
    });
    await engine.load(model, 6);
    await engine.setWeights(weights);
    isRight(await engine.localSteps(ADAMW, batchesOf(model, 6)));
    expect(remembered.mock.calls.filter(([key]) => key.startsWith("rows ")).map(([, value]) => value)).toEqual(["3", "2"]);
    engine.dispose();
  });
});
