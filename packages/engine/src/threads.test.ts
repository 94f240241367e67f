// The engine on WASM with several threads: the gradients of one to the last bit, and a thread that ends costs nothing but its help.
import { probeBatch, probeWeights } from "@weft/models";
import type { ModelSpec } from "@weft/protocol";
import type { StepResult } from "@weft/tensors";
import { describe, expect, it } from "vitest";
import { SMALL_MODELS } from "../../models/test/cases.ts";
import { threadsOf } from "../../wasm/test/threads.ts";
import { createEngine, type Engine, type EngineOptions } from "./index.ts";

const ROWS = 5;
const open = (threads?: EngineOptions["threads"]): Promise<Engine> =>
  createEngine({ preference: "wasm", allowSoftwareGpu: false, ...(threads === undefined ? {} : { threads }) });

async function stepOf(engine: Engine, model: ModelSpec): Promise<StepResult> {
  await engine.load(model, ROWS);
  await engine.setWeights(probeWeights(model, 11));
  const batch = probeBatch(model, ROWS, ROWS - 1, 12);
  // Recorded, and replayed.
  expect(await engine.step(batch)).toEqual(await engine.step(batch));
  return engine.step(batch);
}

describe("the engine on several threads of WASM", { timeout: 180_000 }, () => {
  const models = Object.values(SMALL_MODELS);

  it("passes its self-test and has the gradients of one thread, to the last bit", async () => {
    const found = new Map<number, StepResult[]>();
    for (const count of [1, 2, 3]) {
      const engine = await open(threadsOf(count));
      expect(engine.device.description).toBe(count === 1 ? "WebAssembly with SIMD" : `WebAssembly with SIMD, ${count} threads`);
      expect(await engine.selfTest()).toMatchObject({ passed: true });
      const steps: StepResult[] = [];
      for (const model of models) steps.push(await stepOf(engine, model));
      found.set(count, steps);
      engine.dispose();
    }
    expect(found.get(2)).toEqual(found.get(1));
    expect(found.get(3)).toEqual(found.get(1));
  });

  it("goes on alone when a thread ends, with the same gradient and nothing to load again", async () => {
    const members: { terminate(): void }[] = [];
    // Not the ten seconds that a thread is otherwise given to come.
    const options = { ...threadsOf(3), patienceMs: 3_000 };
    const threads = {
      ...options,
      start: (...given: Parameters<typeof options.start>) => {
        const thread = options.start(...given);
        members.push(thread);
        return thread;
      },
    };
    const engine = await open(threads);
    const expected = await stepOf(engine, SMALL_MODELS.gpt);
    expect(engine.device.description).toContain("3 threads");
    members[1]?.terminate();
    await expect.poll(() => engine.step(probeBatch(SMALL_MODELS.gpt, ROWS, ROWS - 1, 12)), { timeout: 60_000 }).toEqual(expected);
    await expect
      .poll(() => engine.step(probeBatch(SMALL_MODELS.gpt, ROWS, ROWS - 1, 12)).then(() => engine.device.description))
      .toBe("WebAssembly with SIMD");
    expect(await engine.step(probeBatch(SMALL_MODELS.gpt, ROWS, ROWS - 1, 12))).toEqual(expected);
    engine.dispose();
  });
});
