// Local steps on the backends that Node has.
import { afterAll, beforeAll, describe } from "vitest";
import { localStepsSuite } from "../test/local-steps-suite.ts";
import { createEngine, type Engine } from "./index.ts";

describe.each(["cpu", "wasm"] as const)("local steps on %s", { timeout: 60_000 }, (preference) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createEngine({ preference, allowSoftwareGpu: false });
  });
  afterAll(() => engine.dispose());
  localStepsSuite(() => engine);
});
