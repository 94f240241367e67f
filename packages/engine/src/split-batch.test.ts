// Splitting a version's batch over volunteers does not change the mathematics: the same weights as from one big batch.
import { describe, expect, it } from "vitest";
import { relativeError, SMALL_MODELS } from "../../models/test/cases.ts";
import { SAMPLES, SPLITS, versionAfter } from "../test/split-batch.ts";
import { createEngine } from "./index.ts";

describe.each(["cpu", "wasm"] as const)("one version of gradient mode on %s", (preference) => {
  for (const [name, model] of Object.entries(SMALL_MODELS))
    it(`${name}: 1, 3 and 7 uneven leases give the weights of one big batch, to 1e-5`, async () => {
      const engine = await createEngine({ preference, allowSoftwareGpu: false });
      const whole = await versionAfter(engine, model, SAMPLES, [SAMPLES]);
      for (const sizes of Object.values(SPLITS)) {
        const split = await versionAfter(engine, model, 4, sizes);
        for (const [index, { optimizer, before, after }] of whole.entries()) {
          expect(relativeError(before, after), `${optimizer} moved the weights`).toBeGreaterThan(1e-4);
          expect(relativeError(split[index]?.after ?? [], after), `${sizes.length} leases, ${optimizer}`).toBeLessThan(1e-5);
        }
      }
      engine.dispose();
    });
});
