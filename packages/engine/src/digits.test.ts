// A model trained on the embedded digits from one seed: WASM and the plain JavaScript backend come to the same accuracy.
import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { digitsLesson, HELD_OUT_IMAGES, trainedOnDigits } from "../test/digits-training.ts";
import { createEngine } from "./index.ts";

const FOLDER = new URL("../../datasets/embedded/", import.meta.url);

it("digits: WASM and CPU, from the same seed, learn the same", { timeout: 60_000 }, async () => {
  const lesson = await digitsLesson(async (path) => new Uint8Array(await readFile(new URL(path, FOLDER))));
  const trained = async (preference: "wasm" | "cpu") => {
    const engine = await createEngine({ preference, allowSoftwareGpu: false });
    const result = await trainedOnDigits(engine, lesson);
    engine.dispose();
    return result;
  };
  const [wasm, cpu] = [await trained("wasm"), await trained("cpu")];
  expect(cpu.accuracy).toBeGreaterThan(0.93);
  // Roundings differ, and a handful of the images lies near a border.
  expect(Math.abs(wasm.accuracy - cpu.accuracy)).toBeLessThanOrEqual(3 / HELD_OUT_IMAGES);
  expect(Math.abs(wasm.loss - cpu.loss)).toBeLessThan(0.01);
});
