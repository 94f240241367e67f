// A model trained on the embedded digits from one seed in a real browser: WebGPU and WASM come to the same accuracy.
import { expect, it } from "vitest";
import { digitsLesson, HELD_OUT_IMAGES, trainedOnDigits } from "../test/digits-training.ts";
import { createEngine } from "./index.ts";

const HERE = import.meta.url;
/** As the server of the tests gives out files that are no modules. */
const FOLDER = new URL(`/@fs${new URL("../../datasets/embedded", HERE).pathname}/`, HERE);

it("digits: WebGPU and WASM, from the same seed, learn the same", { timeout: 180_000 }, async () => {
  const lesson = await digitsLesson(async (path) => {
    const response = await fetch(new URL(path, FOLDER));
    expect(response.status).toBe(200);
    return new Uint8Array(await response.arrayBuffer());
  });
  const trained = async (preference: "webgpu" | "wasm") => {
    const engine = await createEngine({ preference, allowSoftwareGpu: true });
    const result = await trainedOnDigits(engine, lesson);
    expect(engine.device.backend).toBe(preference);
    engine.dispose();
    return result;
  };
  const [webgpu, wasm] = [await trained("webgpu"), await trained("wasm")];
  console.info(JSON.stringify({ webgpu, wasm }));
  expect(wasm.accuracy).toBeGreaterThan(0.93);
  // Roundings differ, and a handful of the images lies near a border.
  expect(Math.abs(webgpu.accuracy - wasm.accuracy)).toBeLessThanOrEqual(3 / HELD_OUT_IMAGES);
  expect(Math.abs(webgpu.loss - wasm.loss)).toBeLessThan(0.01);
});
