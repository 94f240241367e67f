// A model trained on the embedded digits from one seed in a real browser: WebGPU and WASM come to the same accuracy.
import { expect, it } from "vitest";
import { commands } from "vitest/browser";
import { digitsLesson, HELD_OUT_IMAGES, trainedOnDigits } from "../test/digits-training.ts";
import { createEngine } from "./index.ts";

/** Unpacked by nobody on the way: a server would say that a `.gz` is gzip-encoded, and the browser unpack it. */
const readEmbedded = async (path: string): Promise<Uint8Array> => {
  const base64 = await commands.readFile(`packages/datasets/embedded/${path}`, "base64");
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
};

it("digits: WebGPU and WASM, from the same seed, learn the same", { timeout: 180_000 }, async () => {
  const lesson = await digitsLesson(readEmbedded);
  const trained = async (preference: "webgpu" | "wasm") => {
    const engine = await createEngine({ preference, allowSoftwareGpu: true });
    const result = await trainedOnDigits(engine, lesson);
    expect(engine.device.backend).toBe(preference);
    engine.dispose();
    return result;
  };
  const [webgpu, wasm] = [await trained("webgpu"), await trained("wasm")];
  expect(wasm.accuracy).toBeGreaterThan(0.93);
  // Roundings differ, and a handful of the images lies near a border.
  expect(Math.abs(webgpu.accuracy - wasm.accuracy)).toBeLessThanOrEqual(3 / HELD_OUT_IMAGES);
  expect(Math.abs(webgpu.loss - wasm.loss)).toBeLessThan(0.01);
});
