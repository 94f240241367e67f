// Steps in half precision on a real device: right within what f16 allows, found out where they are wrong; on a device without `shader-f16`
// the same calls are steps in f32. A missing adapter fails.
import { probeBatch, probeWeights } from "@weft/models";
import { forgetfulMemory, HALF } from "@weft/webgpu";
import { afterEach, describe, expect, it, vi } from "vitest";
import { relativeError, SMALL_MODELS } from "../../models/test/cases.ts";
import { reference } from "../../models/test/reference-models.ts";
import { createEngine, type Engine } from "./index.ts";

const half = (await navigator.gpu.requestAdapter({ powerPreference: "high-performance" }))?.features.has("shader-f16") === true;
const MODELS = { ...SMALL_MODELS, wide: { ...SMALL_MODELS.gpt, vocabulary: 70, context: 16, layers: 1, width: 64 } } as const;

afterEach(() => vi.restoreAllMocks());

async function gradientError(engine: Engine, name: keyof typeof MODELS): Promise<number> {
  const model = MODELS[name];
  const [weights, batch] = [probeWeights(model, 21), probeBatch(model, 5, 3, 22)];
  await engine.load(model, batch.rows, "f16");
  await engine.setWeights(weights);
  const expected = reference(model, weights, batch).gradientSum;
  // The first step is recorded, the second replayed.
  await engine.step(batch);
  return relativeError((await engine.step(batch)).gradientSum, expected);
}

describe("a step in half precision", { timeout: 300_000 }, () => {
  it.each(Object.keys(MODELS) as (keyof typeof MODELS)[])("of the %s is as near to f64 as its storage allows", async (name) => {
    const engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
    const error = await gradientError(engine, name);
    expect(engine.precision).toBe(half ? "f16" : "f32");
    expect(error).toBeLessThan(half ? 0.01 : 1e-5);
    if (half) expect(error).toBeGreaterThan(1e-6);
    engine.dispose();
  });

  it("that the device gets wrong is found out before the first lease, and f32 takes its place, now and at the next visit", async () => {
    const memory = forgetfulMemory();
    const { createShaderModule } = GPUDevice.prototype;
    vi.spyOn(GPUDevice.prototype, "createShaderModule").mockImplementation(function (this: GPUDevice, descriptor) {
      return createShaderModule.call(this, {
        ...descriptor,
        code: descriptor.code.replaceAll("* uniforms.scale); }", "* uniforms.scale * 0.5); }"),
      });
    });
    const first = await createEngine({ preference: "webgpu", allowSoftwareGpu: true, memory });
    expect(await gradientError(first, "gpt")).toBeLessThan(1e-5);
    expect(first.precision).toBe("f32");
    expect((await first.selfTest()).detail.includes(`without ${HALF}`)).toBe(half);
    first.dispose();
    vi.restoreAllMocks();
    const next = await createEngine({ preference: "webgpu", allowSoftwareGpu: true, memory });
    expect(await gradientError(next, "gpt")).toBeLessThan(1e-5);
    expect(next.precision).toBe("f32");
    next.dispose();
  });
});
