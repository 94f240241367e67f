// What takes the place of a lost device, and when: on scripted engines, without a GPU. Real devices are lost in resilience.browser.test.ts.
import { layoutFor, probeBatch, probeWeights } from "@weft/models";
import type { DeviceInfo, ModelSpec } from "@weft/protocol";
import type { Batch, DevicePacking, LocalSteps, LocalStepsResult, StepBatches, StepResult } from "@weft/tensors";
import { describe, expect, it } from "vitest";
import type { Engine } from "./engine.ts";
import { SteadyEngine } from "./steady-engine.ts";
import { multiplyAdds } from "./step-cost.ts";

const LIGHT: ModelSpec = { kind: "mlp", inputs: 4, hidden: [3], classes: 2 };
const OTHER: ModelSpec = { kind: "mlp", inputs: 5, hidden: [3], classes: 2 };
/** Few weights, but each of 4,096 places looks at all others. */
const HEAVY: ModelSpec = { kind: "gpt", vocabulary: 5, context: 4_096, layers: 1, heads: 1, width: 4, bias: false, gelu: "exact" };
const ROWS = 100;

const gate = () => {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
};

/** Answers with the sum of its weights as the loss; loads as soon as its gate opens. */
class ScriptedEngine implements Engine {
  readonly device: DeviceInfo;
  readonly precision = "f32";
  readonly lost: Promise<string>;
  readonly loads: ModelSpec[] = [];
  readonly loading = gate();
  lose: (message: string) => void = () => undefined;
  disposals = 0;
  #weights: Float32Array | null = null;

  constructor(backend: DeviceInfo["backend"], { waits = false } = {}) {
    this.device = { backend, description: backend, software: false };
    this.lost = new Promise((resolve) => {
      this.lose = resolve;
    });
    if (!waits) this.loading.open();
  }
  selfTest = () => Promise.resolve({ passed: true, relativeError: 0, detail: "" });
  async load(model: ModelSpec): Promise<void> {
    await this.loading.passed;
    this.loads.push(model);
    this.#weights = null;
  }
  async setWeights(flat: Float32Array): Promise<void> {
    this.#weights = flat.slice();
  }
  async step(batch: Batch): Promise<StepResult> {
    // As a device does whose answer never comes.
    if (await Promise.race([this.lost.then(() => true), Promise.resolve(false)])) throw new Error("gone");
    if (this.#weights === null) throw new Error("step before setWeights");
    return { gradientSum: new Float32Array(batch.rows), lossSum: this.#weights.reduce((sum, value) => sum + value, 0) };
  }
  /** Each weight moves by 1 a step. */
  async localSteps({ steps }: LocalSteps, batches: StepBatches): Promise<LocalStepsResult | null> {
    if (this.#weights === null) throw new Error("localSteps before setWeights");
    for (let step = 0; step < steps; step++) {
      if ((await batches(step)) === null) return null;
      if (await Promise.race([this.lost.then(() => true), Promise.resolve(false)])) throw new Error("gone");
    }
    return { update: new Float32Array(this.#weights.length).fill(steps), lossSum: 0, samples: steps };
  }
  /** Packs nothing, but says what it would. */
  get packing(): DevicePacking {
    return {
      codecs: this.device.backend === "webgpu" ? ["int8"] : [],
      update: async (work, batches, residual) => {
        const result = work.kind === "gradient" ? null : await this.localSteps(work.work, batches);
        return work.codec === "topk" && (await residual()) === null ? null : result;
      },
    };
  }
  evaluate = () => Promise.reject(new Error("not asked for"));
  logits = () => Promise.reject(new Error("not asked for"));
  dispose(): void {
    this.disposals += 1;
  }
}

/** Codecs without error feedback do not ask for it. */
const NO_RESIDUAL = () => Promise.reject(new Error("a residual was asked for"));

interface Scene {
  /** What comes in the place of a lost one, in order; none left: nothing does. */
  readonly next?: ScriptedEngine[];
  readonly wasm?: ScriptedEngine | null;
}
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

async function scene({ next = [], wasm = new ScriptedEngine("wasm") }: Scene, model = LIGHT) {
  const first = new ScriptedEngine("webgpu");
  const asked: number[] = [];
  const left = [...next];
  const engine = new SteadyEngine(first, {
    reopen: async (losses) => {
      asked.push(losses);
      const engine = left.shift();
      if (engine === undefined) throw new Error("no device");
      return engine;
    },
    standIn: async () => {
      if (wasm === null) throw new Error("no WASM");
      return wasm;
    },
    sleep: turn,
  });
  await engine.load(model, ROWS);
  const weights = probeWeights(model, 1);
  await engine.setWeights(weights);
  const step = async (): Promise<readonly [string, number]> => {
    const { lossSum } = await engine.step(probeBatch(LIGHT, ROWS, ROWS, 1));
    return [engine.device.backend, lossSum];
  };
  return { engine, first, asked, step, sum: weights.reduce((total, value) => total + value, 0) };
}

describe("in the place of a lost device", () => {
  it("WASM computes a light step at once, and the next device all that come when it is ready", async () => {
    const gpu = new ScriptedEngine("webgpu", { waits: true });
    const wasm = new ScriptedEngine("wasm");
    const { first, step, sum, asked, engine } = await scene({ next: [gpu], wasm });
    first.lose("crash");
    expect(await step()).toEqual(["wasm", sum]);
    await turn();
    expect(await step()).toEqual(["wasm", sum]);
    expect([first.disposals > 0, wasm.disposals, gpu.loads]).toEqual([true, 0, []]);
    gpu.loading.open();
    await turn();
    expect(await step()).toEqual(["webgpu", sum]);
    expect([asked, wasm.disposals, gpu.loads]).toEqual([[1], 1, [LIGHT]]);
    engine.dispose();
    expect(gpu.disposals).toBe(1);
  });

  it("the next device has the model and the weights that were set while WASM stood in", async () => {
    const gpu = new ScriptedEngine("webgpu", { waits: true });
    const { engine, first, step } = await scene({ next: [gpu] });
    first.lose("crash");
    await step();
    await engine.load(OTHER, ROWS);
    const weights = new Float32Array(layoutFor(OTHER).size).fill(0.5);
    await engine.setWeights(weights);
    expect(await step()).toEqual(["wasm", weights.length / 2]);
    gpu.loading.open();
    await turn();
    expect(await step()).toEqual(["webgpu", weights.length / 2]);
    expect(gpu.loads).toEqual([LIGHT, OTHER]);
  });

  it("local steps begin again from the first, and what still runs on the lost device gets no more samples", async () => {
    const { engine, first } = await scene({ next: [new ScriptedEngine("webgpu")] });
    const asked: number[] = [];
    const work = { steps: 3, optimizer: { kind: "sgd", momentum: 0, weightDecay: 0 }, learningRate: 1, clipNorm: 1, state: null } as const;
    const result = await engine.localSteps(work, async (step) => {
      asked.push(step);
      if (asked.length === 2) first.lose("crash");
      return [probeBatch(LIGHT, ROWS, ROWS, step)];
    });
    expect(result).toMatchObject({ samples: 3 });
    expect(asked).toEqual([0, 1, 0, 1, 2]);
  });

  it("a lease whose update was to be encoded is taken again from its first step, and who asks learns what the device of now encodes", async () => {
    const { engine, first } = await scene({});
    expect(engine.packing.codecs).toEqual(["int8"]);
    const asked: number[] = [];
    const work: LocalSteps = {
      steps: 3,
      optimizer: { kind: "sgd", momentum: 0, weightDecay: 0 },
      learningRate: 1,
      clipNorm: Number.POSITIVE_INFINITY,
      state: null,
    };
    const result = await engine.packing.update(
      { kind: "local-steps", work, codec: "int8", stream: { seed: 1, lease: 1 } },
      async (step) => {
        asked.push(step);
        if (asked.length === 2) first.lose("crash");
        return [];
      },
      NO_RESIDUAL,
    );
    expect(result?.samples).toBe(3);
    expect(asked.slice(-3)).toEqual([0, 1, 2]);
    expect(engine.packing.codecs).toEqual([]);
  });

  it("a lease that waits for its residual is taken again too, and asks for that again", async () => {
    const { engine, first } = await scene({});
    let asked = 0;
    const work: LocalSteps = {
      steps: 3,
      optimizer: { kind: "sgd", momentum: 0, weightDecay: 0 },
      learningRate: 1,
      clipNorm: Number.POSITIVE_INFINITY,
      state: null,
    };
    const steps: number[] = [];
    const result = await engine.packing.update(
      { kind: "local-steps", work, codec: "topk", stream: { seed: 1, lease: 1 } },
      async (step) => {
        steps.push(step);
        return [];
      },
      async () => {
        asked += 1;
        if (asked > 1) return new Float32Array(1);
        first.lose("crash");
        return new Promise(() => {});
      },
    );
    expect(result).toMatchObject({ samples: 3 });
    expect([asked, steps, engine.device.backend]).toEqual([2, [0, 1, 2, 0, 1, 2], "wasm"]);
  });

  it("a heavy step waits for the next device, whether it was loaded before or is loaded meanwhile", async () => {
    expect(multiplyAdds(HEAVY, ROWS)).toBeGreaterThan(1e9);
    const gpu = new ScriptedEngine("webgpu");
    const before = await scene({ next: [gpu] }, HEAVY);
    before.first.lose("crash");
    expect((await before.step())[0]).toBe("webgpu");

    const late = new ScriptedEngine("webgpu", { waits: true });
    const meanwhile = await scene({ next: [late] });
    meanwhile.first.lose("crash");
    expect((await meanwhile.step())[0]).toBe("wasm");
    const loading = meanwhile.engine.load(HEAVY, ROWS);
    await turn();
    late.loading.open();
    await loading;
    expect(meanwhile.engine.device.backend).toBe("webgpu");
    expect(late.loads).toEqual([LIGHT, HEAVY]);
  });

  it("a device that is lost before it is ready is replaced itself", async () => {
    const [second, third] = [new ScriptedEngine("webgpu", { waits: true }), new ScriptedEngine("webgpu")];
    const { first, step, sum, asked } = await scene({ next: [second, third] });
    first.lose("crash");
    expect(await step()).toEqual(["wasm", sum]);
    second.lose("crash again");
    while ((await step())[0] === "wasm") await turn();
    expect(await step()).toEqual(["webgpu", sum]);
    expect([asked, second.disposals > 0]).toEqual([[1, 2], true]);
  });

  it("WASM stays where no other device can be had, and the engine is not lost", async () => {
    const { engine, first, step, sum } = await scene({});
    let lost = false;
    void engine.lost.then(() => {
      lost = true;
    });
    first.lose("crash");
    for (let count = 0; count < 5; count++) expect(await step()).toEqual(["wasm", sum]);
    await turn();
    expect(lost).toBe(false);
  });

  it("where WASM cannot be had the next device is waited for, and where neither can be had the engine says that it is lost", async () => {
    const gpu = new ScriptedEngine("webgpu");
    const one = await scene({ next: [gpu], wasm: null });
    one.first.lose("crash");
    expect(await one.step()).toEqual(["webgpu", one.sum]);
    const none = await scene({ wasm: null });
    none.first.lose("crash");
    await expect(none.step()).rejects.toThrow("no device");
    expect(await none.engine.lost).toBe("crash");
  });

  it("an engine that is disposed of meanwhile leaves nothing behind", async () => {
    const [gpu, wasm] = [new ScriptedEngine("webgpu", { waits: true }), new ScriptedEngine("wasm")];
    const { engine, first, step } = await scene({ next: [gpu], wasm });
    first.lose("crash");
    await step();
    engine.dispose();
    gpu.loading.open();
    await turn();
    expect([wasm.disposals, gpu.disposals]).toEqual([1, 1]);
  });
});
