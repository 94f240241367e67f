// Threads in a real browser: the application's own workers in an isolated page, which compute the gradients of one thread to the last bit.
import { probeBatch, probeWeights } from "@weft/models";
import type { ModelSpec } from "@weft/protocol";
import type { StepResult } from "@weft/tensors";
import { expect, it } from "vitest";
import { engineInThread } from "../../volunteer/src/engine-rpc.ts";
import type { VolunteerEngine } from "../../volunteer/src/ports.ts";
import { createEngine } from "./index.ts";

const ROWS = 8;
/** Large enough for most kernels to be worth dividing. */
const MODELS: readonly ModelSpec[] = [
  { kind: "mlp", inputs: 196, hidden: [128], classes: 10 },
  { kind: "cnn", height: 28, width: 28, inChannels: 1, channels: [8, 16], kernel: 5, hidden: 64, classes: 10 },
  { kind: "lstm", vocabulary: 40, context: 12, embedding: 8, layers: 2, hidden: 96 },
  { kind: "gpt", vocabulary: 65, context: 48, layers: 2, heads: 4, width: 64, bias: true, gelu: "tanh" },
];

const engineOn = (threads: number): Promise<VolunteerEngine> =>
  engineInThread(
    ({ answered, failed }) => {
      const worker = new Worker(new URL("../../../apps/web/src/worker/engine-worker.ts", import.meta.url), { type: "module" });
      worker.onmessage = ({ data }) => answered(data);
      worker.onerror = ({ message }) => failed(message);
      return { post: (call, transfer) => worker.postMessage(call, [...transfer]), terminate: () => worker.terminate() };
    },
    { preference: "wasm", allowSoftwareGpu: false, threads },
  );

it("an isolated page trains on several threads, to the bits of one", { timeout: 180_000 }, async () => {
  expect(crossOriginIsolated).toBe(true);
  const found: StepResult[][] = [];
  for (const threads of [1, 3]) {
    const engine = await engineOn(threads);
    expect(engine.device.description).toBe(threads === 1 ? "WebAssembly with SIMD" : `WebAssembly with SIMD, ${threads} threads`);
    expect(await engine.selfTest()).toMatchObject({ passed: true });
    const steps: StepResult[] = [];
    for (const model of MODELS) {
      await engine.load(model, ROWS);
      await engine.setWeights(probeWeights(model, 11));
      // Recorded, then replayed.
      for (let step = 0; step < 2; step++) steps.push(await engine.step(probeBatch(model, ROWS, ROWS - 1, 12)));
    }
    found.push(steps);
    engine.dispose();
  }
  expect(found[0]?.every(({ gradientSum }) => gradientSum.some((value) => value !== 0))).toBe(true);
  expect(found[1]).toEqual(found[0]);
});

it("a window, which may not wait, has one thread", async () => {
  const start = (): never => {
    throw new Error("a thread was started");
  };
  const engine = await createEngine({ preference: "wasm", allowSoftwareGpu: false, threads: { count: 3, start } });
  expect(engine.device.description).toBe("WebAssembly with SIMD");
  engine.dispose();
});
