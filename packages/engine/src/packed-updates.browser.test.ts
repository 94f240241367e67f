// Updates that are encoded on the GPU, as the engine gives them: the codec's bytes of what it would have read back as f32, hardly more read
// back than those, in one map a lease; right too where the device is lost, or gets its encoders wrong. A missing adapter fails.
import { probeWeights } from "@weft/models";
import { codecNamed, decode, type LeaseResult, type LeaseWork, samplesIn } from "@weft/tensors";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { relativeError, SMALL_MODELS } from "../../models/test/cases.ts";
import { countCalls } from "../test/count-calls.ts";
import { ADAMW, batchesOf, SGD } from "../test/local-steps-suite.ts";
import { mappedBytes } from "../test/mapped-bytes.ts";
import { createEngine, type Engine } from "./index.ts";

const TIMEOUT_MS = 90_000;
const model = SMALL_MODELS.mlp;
const weights = probeWeights(model, 11);
const ROWS = 4;
const STEPS = 5;
const STREAM = { seed: 5, lease: 2 ** 33 + 1 };
const CODECS = ["int8", "int4", "ternary"] as const;
const workOf = (kind: LeaseWork["kind"], codec: string): LeaseWork =>
  kind === "gradient" ? { kind, steps: STEPS, codec, stream: STREAM } : { kind, work: ADAMW, codec, stream: STREAM };
/** Codecs without error feedback do not ask for it. */
const NO_RESIDUAL = () => Promise.reject(new Error("a residual was asked for"));
const KINDS = ["gradient", "local-steps"] as const;

/** What the lease comes to, read back as f32. */
async function asValues(engine: Engine, kind: LeaseWork["kind"]): Promise<LeaseResult & { readonly update: Float32Array }> {
  const batches = batchesOf(model, ROWS);
  if (kind === "local-steps") return (await engine.localSteps(ADAMW, batches)) ?? expect.fail();
  const update = new Float32Array(weights.length);
  let [lossSum, samples] = [0, 0];
  for (let step = 0; step < STEPS; step++)
    for (const batch of (await batches(step)) ?? []) {
      const one = await engine.step(batch);
      for (let at = 0; at < update.length; at++) update[at] = (update[at] as number) + (one.gradientSum[at] as number);
      lossSum += one.lossSum;
      samples += samplesIn([batch]);
    }
  return { update: update.map((value) => value / samples), lossSum, samples };
}

const valuesOf = (codec: string, bytes: Uint8Array): Float32Array => {
  const decoded = decode(codecNamed(codec) ?? expect.fail(), bytes, weights.length);
  return decoded.ok ? decoded.update : expect.fail();
};
/** The device's bytes, sealed. */
const sealed = (codec: string, { update }: Pick<LeaseResult, "update">): Uint8Array => {
  const bytes = !(update instanceof Float32Array) && update.ok ? update.bytes : expect.fail();
  return codecNamed(codec)?.seal?.(bytes, weights.length) ?? bytes;
};

function isRight(codec: string, result: LeaseResult | null, expected: LeaseResult & { readonly update: Float32Array }): void {
  if (result === null) expect.fail();
  expect(result.samples).toBe(expected.samples);
  expect(result.lossSum).toBeCloseTo(expected.lossSum, 6);
  const theirs = codecNamed(codec)?.encode(expected.update, STREAM);
  const wanted = valuesOf(codec, theirs?.ok ? theirs.bytes : expect.fail());
  // A quotient may be some units in the last place off, which hardly ever moves a level: here none or one does.
  const differing = valuesOf(codec, sealed(codec, result)).filter((value, at) => value !== wanted[at]);
  expect(differing.length).toBeLessThanOrEqual(1);
}

describe("an update that is encoded on WebGPU", { timeout: TIMEOUT_MS }, () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
  });
  afterAll(() => engine.dispose());

  it.each(KINDS.flatMap((kind) => CODECS.map((codec) => [kind, codec] as const)))(
    "%s, %s: the codec's bytes of the update in f32; packed bytes and the losses are all that is read back, in one map",
    async (kind, codec) => {
      await engine.load(model, ROWS);
      await engine.setWeights(weights);
      const expected = await asValues(engine, kind);
      const results: (LeaseResult | null)[] = [];
      const lease = async (): Promise<void> =>
        void results.push(await engine.packing.update(workOf(kind, codec), batchesOf(model, ROWS), NO_RESIDUAL));
      await lease();
      const read = await mappedBytes(lease);
      expect(read.maps).toBe(1);
      const packedBytes = results[1]?.update instanceof Float32Array || !results[1]?.update.ok ? 0 : results[1].update.bytes.length;
      expect(packedBytes).toBeGreaterThan(0);
      // Two words of faults, each part to a whole word, and a loss for each of the ten micro-batches.
      expect(read.bytes).toBeLessThanOrEqual(packedBytes + 8 + 2 * 3 + 4 * 2 * STEPS);
      expect(await countCalls(lease)).toMatchObject({ maps: 1, pipelines: 0, asyncPipelines: 0, bindGroups: 0, buffers: 0 });
      for (const result of results) isRight(codec, result, expected);
      // The weights stay set.
      expect((await asValues(engine, kind)).update).toEqual(expected.update);
    },
  );

  it.each(KINDS)("%s: is refused where a value is not finite, and the next lease is none the worse", async (kind) => {
    await engine.load(model, ROWS);
    const bad = weights.slice();
    // Of the last layer: nothing behind it hides it.
    bad[bad.length - 1] = Number.NaN;
    await engine.setWeights(bad);
    const update = () => engine.packing.update(workOf(kind, "int8"), batchesOf(model, ROWS), NO_RESIDUAL);
    expect((await update())?.update).toMatchObject({ ok: false, fault: "not-finite" });
    await engine.setWeights(weights);
    isRight("int8", await update(), await asValues(engine, kind));
  });

  it.each(KINDS)("%s: that is given up leaves nothing behind in the next one", async (kind) => {
    await engine.load(model, ROWS);
    await engine.setWeights(weights);
    const given = await engine.packing.update(
      workOf(kind, "int8"),
      async (step) => (step < 2 ? batchesOf(model, ROWS)(step) : null),
      NO_RESIDUAL,
    );
    expect(given).toBeNull();
    isRight("int8", await engine.packing.update(workOf(kind, "int8"), batchesOf(model, ROWS), NO_RESIDUAL), await asValues(engine, kind));
  });

  it("keeps the inner optimiser's state from lease to lease as local steps do", async () => {
    await engine.load(model, ROWS);
    await engine.setWeights(weights);
    const work = { ...SGD, state: "run" };
    const lease: LeaseWork = { kind: "local-steps", work, codec: "int8", stream: STREAM };
    await engine.localSteps(SGD, batchesOf(model, ROWS));
    await engine.localSteps(work, batchesOf(model, ROWS));
    const expected = (await engine.localSteps(work, batchesOf(model, ROWS))) ?? expect.fail();
    await engine.localSteps(SGD, batchesOf(model, ROWS));
    await engine.packing.update(lease, batchesOf(model, ROWS), NO_RESIDUAL);
    isRight("int8", await engine.packing.update(lease, batchesOf(model, ROWS), NO_RESIDUAL), expected);
  });
});

describe("an update that was to be encoded on a GPU", { timeout: TIMEOUT_MS }, () => {
  afterEach(() => vi.restoreAllMocks());

  it.each(KINDS)("%s: which is lost in the middle comes out once and right, in f32 or encoded", async (kind) => {
    const devices: GPUDevice[] = [];
    const { requestDevice } = GPUAdapter.prototype;
    vi.spyOn(GPUAdapter.prototype, "requestDevice").mockImplementation(async function (this: GPUAdapter, descriptor) {
      const device = await requestDevice.call(this, descriptor);
      devices.push(device);
      return device;
    });
    const engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
    await engine.load(model, ROWS);
    await engine.setWeights(weights);
    const expected = await asValues(engine, kind);
    const asked: number[] = [];
    const result = await engine.packing.update(
      workOf(kind, "int8"),
      async (step) => {
        asked.push(step);
        if (asked.length === 4) devices[0]?.destroy();
        return batchesOf(model, ROWS)(step);
      },
      NO_RESIDUAL,
    );
    expect(asked.slice(-STEPS)).toEqual([0, 1, 2, 3, 4]);
    expect(result?.samples).toBe(expected.samples);
    if (result?.update instanceof Float32Array) expect(relativeError(result.update, expected.update)).toBeLessThan(1e-4);
    else isRight("int8", result, expected);
    engine.dispose();
  });

  it.each(KINDS)("%s: which rounds levels otherwise than the codec is read back as f32", async (kind) => {
    const { createShaderModule } = GPUDevice.prototype;
    vi.spyOn(GPUDevice.prototype, "createShaderModule").mockImplementation(function (this: GPUDevice, descriptor) {
      return createShaderModule.call(this, { ...descriptor, code: descriptor.code.replace("let level = floor(", "let level = round(") });
    });
    const engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
    await engine.load(model, ROWS);
    await engine.setWeights(weights);
    const result = await engine.packing.update(workOf(kind, "int8"), batchesOf(model, ROWS), NO_RESIDUAL);
    expect(result?.update).toEqual((await asValues(engine, kind)).update);
    engine.dispose();
  });

  it("which has no room for encoding it is read back as f32, on batches of the same size", async () => {
    const engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
    await engine.load(model, ROWS);
    await engine.setWeights(weights);
    const expected = await asValues(engine, "gradient");
    let full = false;
    const { createBuffer, popErrorScope } = GPUDevice.prototype;
    vi.spyOn(GPUDevice.prototype, "createBuffer").mockImplementation(function (this: GPUDevice, descriptor) {
      if (descriptor.label === "sum of an update" && descriptor.size === 4 * weights.length) full = true;
      return createBuffer.call(this, descriptor);
    });
    vi.spyOn(GPUDevice.prototype, "popErrorScope").mockImplementation(async function (this: GPUDevice) {
      const wasFull = full;
      full = false;
      const error = await popErrorScope.call(this);
      return wasFull ? new GPUOutOfMemoryError("not enough memory left") : error;
    });
    const result = await engine.packing.update(workOf("gradient", "int8"), batchesOf(model, ROWS), NO_RESIDUAL);
    expect(result?.update).toEqual(expected.update);
    engine.dispose();
  });
});
