import { describe, expect, it } from "vitest";
import { type EngineCall, type EngineThreadEvents, engineInThread, serveEngine } from "./engine-rpc.ts";
import type { VolunteerEngine } from "./ports.ts";

const BATCH = { rows: 1, inputs: new Float32Array(4), targets: new Int32Array(1), weights: Float32Array.of(1) };

function thread(engine: Partial<VolunteerEngine> & { readonly lost?: Promise<string> }) {
  const moved: number[] = [];
  let ended = 0;
  const start = (events: EngineThreadEvents) => {
    const serve = serveEngine(
      (answer, transfer) => queueMicrotask(() => events.answered(structuredClone(answer, { transfer: [...transfer] }))),
      async (options: { readonly fail?: boolean }) => {
        if (options.fail) throw new Error("no backend");
        return { device: { backend: "cpu", description: "there", software: false }, ...engine } as VolunteerEngine;
      },
    );
    return {
      post: (call: EngineCall, transfer: readonly ArrayBuffer[]) => {
        moved.push(transfer.length);
        serve(structuredClone(call, { transfer: [...transfer] }));
      },
      terminate: () => {
        ended += 1;
      },
    };
  };
  return { start, moved, ended: () => ended };
}

describe("an engine in its own thread", () => {
  it("answers calls in order, moves arrays, and tells its device", async () => {
    const there = thread({ step: async ({ inputs }) => ({ lossSum: inputs.length, gradientSum: Float32Array.of(1, 2) }) });
    const engine = await engineInThread(there.start, {});
    expect(engine.device.description).toBe("there");
    const batch = structuredClone(BATCH);
    await expect(engine.step(batch)).resolves.toEqual({ lossSum: 4, gradientSum: Float32Array.of(1, 2) });
    expect(there.moved).toEqual([0, 3]);
    expect(batch.inputs.length).toBe(0);
  });

  it("ends the thread where the engine cannot be created, and says why", async () => {
    const there = thread({});
    await expect(engineInThread(there.start, { fail: true })).rejects.toThrow("no backend");
    expect(there.ended()).toBe(1);
  });

  it("fails one call with its own message and goes on", async () => {
    let calls = 0;
    const there = thread({
      step: async () => (calls++ === 0 ? Promise.reject(new Error("odd")) : { lossSum: 1, gradientSum: new Float32Array(1) }),
    });
    const engine = await engineInThread(there.start, {});
    await expect(engine.step(structuredClone(BATCH))).rejects.toThrow("odd");
    await expect(engine.step(structuredClone(BATCH))).resolves.toMatchObject({ lossSum: 1 });
  });

  it("local steps ask the near side for each step's samples, move them and the update, and may begin again", async () => {
    const there = thread({
      localSteps: async ({ steps }, batches) => {
        // As after a lost device: the first attempt's question is left open.
        void batches(0);
        let samples = 0;
        for (let step = 0; step < steps; step++) for (const { rows } of (await batches(step)) ?? []) samples += rows;
        return { update: Float32Array.of(1, 2), lossSum: 3, samples };
      },
    });
    const engine = await engineInThread(there.start, {});
    const work = { steps: 3, optimizer: { kind: "sgd", momentum: 0, weightDecay: 0 }, learningRate: 1, clipNorm: 1, state: null } as const;
    const asked: number[] = [];
    const result = engine.localSteps(work, async (step) => {
      asked.push(step);
      return [structuredClone(BATCH), structuredClone(BATCH)];
    });
    await expect(result).resolves.toEqual({ update: Float32Array.of(1, 2), lossSum: 3, samples: 6 });
    expect(asked).toEqual([0, 0, 1, 2]);
    expect(there.moved.filter((count) => count === 6).length).toBe(4);
    await expect(engine.localSteps(work, () => Promise.reject(new Error("no shard")))).rejects.toThrow("no shard");
  });

  it("says in which codecs the device of now encodes, and moves the packed bytes of a lease", async () => {
    const codecs = ["int8"];
    const there = thread({
      setWeights: async () => void codecs.pop(),
      packing: {
        codecs,
        update: async (work, batches) => {
          for (let step = 0; work.kind === "gradient" && step < work.steps; step++) await batches(step);
          return { update: { ok: true, bytes: Uint8Array.of(1, 2, 3) }, lossSum: 3, samples: 2 };
        },
      },
    });
    const engine = await engineInThread(there.start, {});
    expect(engine.packing?.codecs).toEqual(["int8"]);
    const asked: number[] = [];
    const work = { kind: "gradient", steps: 2, codec: "int8", stream: { seed: 1, lease: 2 } } as const;
    const batches = async (step: number) => {
      asked.push(step);
      return [structuredClone(BATCH)];
    };
    const result = engine.packing?.update(work, batches, async () => null);
    await expect(result).resolves.toEqual({ update: { ok: true, bytes: Uint8Array.of(1, 2, 3) }, lossSum: 3, samples: 2 });
    expect(asked).toEqual([0, 1]);
    await engine.setWeights(new Float32Array(1));
    expect(engine.packing?.codecs).toEqual([]);
  });

  it("asks for a residual, which stays as it is here, and sends what is left unsaid after the packed bytes; null where the thread ends", async () => {
    let left: (rest: Float32Array | null) => void = () => {};
    const there = thread({
      packing: {
        codecs: ["topk"],
        update: async (_work, _batches, residual) => {
          // As after a lost device: the first attempt's question is left open.
          void residual();
          const given = await residual();
          if (given === null) return null;
          const rest = new Promise<Float32Array | null>((resolve) => {
            left = resolve;
          });
          return { update: { ok: true, bytes: Uint8Array.from(given) }, lossSum: 3, samples: 2, rest };
        },
      },
    });
    const engine = await engineInThread(there.start, {});
    const kept = Float32Array.of(7, 8);
    const work = { kind: "gradient", steps: 0, codec: "topk", stream: { seed: 1, lease: 2 } } as const;
    const update = (residual: Float32Array | null) =>
      engine.packing?.update(
        work,
        async () => [],
        async () => residual,
      );
    const first = (await update(kept)) ?? expect.fail();
    expect(first).toMatchObject({ update: { ok: true, bytes: Uint8Array.of(7, 8) }, samples: 2 });
    expect(kept).toEqual(Float32Array.of(7, 8));
    left(Float32Array.of(5, 6));
    expect(await first.rest).toEqual(Float32Array.of(5, 6));
    expect(await update(null)).toBeNull();
    const second = (await update(kept)) ?? expect.fail();
    engine.dispose();
    expect(await second.rest).toBeNull();
  });

  it("fails what waits and what comes when the device is lost or the engine disposed of", async () => {
    let lose: (message: string) => void = () => {};
    const there = thread({ lost: new Promise((resolve) => (lose = resolve)), step: () => new Promise(() => {}) });
    const engine = await engineInThread(there.start, {});
    const waiting = engine.step(structuredClone(BATCH));
    lose("GPU gone");
    await expect(waiting).rejects.toThrow("GPU gone");
    await expect(engine.step(structuredClone(BATCH))).rejects.toThrow("GPU gone");
    engine.dispose();
    expect(there.ended()).toBe(1);
  });
});
