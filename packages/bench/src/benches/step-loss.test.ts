// An engine whose browser's GPU process really crashes, twice, while it steps. No time is judged.
import { expect, it } from "vitest";
import { crashTwice } from "./step-loss.ts";

it("goes on through two crashes of the GPU process, on WASM until another device is ready and then on WASM alone, and every step comes out right", {
  timeout: 300_000,
}, async () => {
  const { crashes, steps } = await crashTwice(false);
  expect(steps[0]?.backend).toBe("webgpu");
  expect(crashes.map(({ backend }) => backend)).toEqual(["wasm", "wasm"]);
  expect(crashes.map(({ againMs }) => againMs !== null)).toEqual([true, false]);
  const changes = steps.map(({ backend }) => backend).filter((backend, at, all) => backend !== all[at - 1]);
  expect(changes).toEqual(["webgpu", "wasm", "webgpu", "wasm"]);
  expect(steps.at(-1)?.backend).toBe("wasm");
  expect(Math.max(...steps.map(({ relativeError }) => relativeError))).toBeLessThan(1e-5);
  // One after another, without a gap: what was asked was answered, once.
  for (const [index, { beganMs }] of steps.entries())
    if (index > 0) expect(beganMs).toBeGreaterThanOrEqual(steps[index - 1]?.endedMs as number);
});
