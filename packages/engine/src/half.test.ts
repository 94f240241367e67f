// Whether half precision is used: asked for, there, and right. On a backend that only claims to have it; real shaders are tested in
// half.browser.test.ts.
import { probeBatch, probeWeights } from "@weft/models";
import type { Precision } from "@weft/protocol";
import { expect, it } from "vitest";
import { SMALL_MODELS } from "../../models/test/cases.ts";
import type { Backend, Program } from "./backend.ts";
import { openCpu } from "./cpu-backend.ts";
import { TfEngine } from "./tf-engine.ts";

const model = SMALL_MODELS.mlp;

/** The CPU, whose programs in `f16` are off by this part of themselves. */
async function claiming(error: number) {
  const cpu = await openCpu();
  const struck: string[] = [];
  const made: Precision[] = [];
  const remembered: (readonly string[])[] = [];
  const backend: Backend = {
    ...cpu,
    half: {
      name: "Half",
      get usable() {
        return !struck.includes("Half");
      },
    },
    optional: {
      names: ["Half"],
      remembered: [],
      strike: (name) => struck.push(name),
      restore: (name) => struck.splice(struck.indexOf(name), 1),
      remember: async (names) => void remembered.push(names),
    },
    program(example, run, precision): Program {
      made.push(precision);
      const program = cpu.program(example, run, "f32");
      if (precision === "f32") return program;
      return {
        ...program,
        prepare: () => program.prepare(),
        dispose: () => program.dispose(),
        run: async (batch) => (await program.run(batch)).map((value) => value * (1 + error)),
      };
    },
  };
  return { backend, struck, made, remembered };
}

it("is used where a run asks for it and its gradients are within what f16 allows", async () => {
  const { backend, struck, made } = await claiming(1e-3);
  const engine = new TfEngine(backend);
  await engine.load(model, 4);
  expect(engine.precision).toBe("f32");
  expect(made).not.toContain("f16");
  await engine.load(model, 4, "f16");
  expect(engine.precision).toBe("f16");
  expect(struck).toEqual([]);
  const tested = made.length;
  await engine.load(model, 5, "f16");
  // Trusted by now: only the program itself is made.
  expect(made.slice(tested)).toEqual(["f16"]);
  await engine.load(model, 5, "f32");
  expect(engine.precision).toBe("f32");
});

it("is struck and remembered where they are not; steps are then those of f32", async () => {
  const { backend, struck, remembered } = await claiming(0.1);
  const engine = new TfEngine(backend);
  await engine.load(model, 4, "f16");
  expect([engine.precision, struck, remembered]).toEqual(["f32", ["Half"], [["Half"]]]);
  const [weights, batch] = [probeWeights(model, 1), probeBatch(model, 4, 4, 2)];
  await engine.setWeights(weights);
  const asked = await engine.step(batch);
  await engine.load(model, 4, "f32");
  await engine.setWeights(weights);
  expect(await engine.step(batch)).toEqual(asked);
});

it("is not used where the device does not have it", async () => {
  const engine = new TfEngine(await openCpu());
  await engine.load(model, 4, "f16");
  expect(engine.precision).toBe("f32");
});
