// What a volunteer sends whose GPU encodes by a codec with error feedback, against one that encodes on the processor what the same GPU computes:
// the same bytes, lease for lease; and nothing but packed bytes and losses read back before they can be sent. Over a thread's port, as in the
// application. A missing adapter fails.
import { createEngine, type Engine } from "@weft/engine";
import { sha256 } from "@weft/ledger";
import { layoutFor, probeBatch, probeWeights } from "@weft/models";
import { type Assignment, type BlobRef, f32ToHex, type ModelSpec, type RunSpec } from "@weft/protocol";
import { decodeResidual, f32ToBytes } from "@weft/tensors";
import { afterEach, describe, expect, it, vi } from "vitest";
import { topkBytes } from "../../webgpu/src/encoders/topk.ts";
import { LOCAL, MANIFEST, SPEC } from "../test/tiny-run.ts";
import { type EngineCall, type EngineThreadEvents, engineInThread, serveEngine } from "./engine-rpc.ts";
import { pieces } from "./plan.ts";
import type { VolunteerEngine } from "./ports.ts";
import { memoryResiduals, type ResidualStore, type Verdict } from "./residuals.ts";
import { Workbench } from "./workbench.ts";

const MODEL: ModelSpec = { kind: "mlp", inputs: 12, hidden: [96, 64], classes: 5 };
const { size } = layoutFor(MODEL);
/** A power of two, by which every device divides exactly. */
const SAMPLES = 16;
const GRADIENT = { ...SPEC, model: MODEL, training: { ...SPEC.training, codec: "topk" } } as RunSpec;
const STEPS: RunSpec = { ...LOCAL, model: MODEL };

const blobs = new Map<string, Uint8Array>();
const put = (bytes: Uint8Array): BlobRef => {
  const name = sha256(bytes);
  blobs.set(name, bytes);
  return { sha256: name, sizeBytes: bytes.length };
};
const json = (value: unknown): BlobRef => put(new TextEncoder().encode(JSON.stringify(value)));
const leaseOf = (spec: RunSpec, number: number): Assignment => ({
  run: "tiny",
  lease: `${number}.0`,
  attempt: 1,
  version: number,
  weights: put(f32ToBytes(probeWeights(MODEL, 20 + number))),
  spec: json(spec),
  dataset: json(MANIFEST),
  start: 0,
  samples: SAMPLES,
  codec: "topk",
  remainingMs: 60_000,
  ...(spec.training.mode === "local-steps" ? { learningRate: f32ToHex(0.05) } : {}),
});

/** The engine behind a port; where the update comes back as f32, the processor encodes. Outlives who uses it. */
function overPort(engine: Engine, where: "device" | "processor"): Promise<VolunteerEngine> {
  const lent = new Proxy(engine, {
    get: (target, name) => {
      if (name === "packing" && where === "processor") return undefined;
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const start = (events: EngineThreadEvents) => {
    const serve = serveEngine(
      (answer, transfer) => queueMicrotask(() => events.answered(structuredClone(answer, { transfer: [...transfer] }))),
      async () => lent,
    );
    return {
      post: (call: EngineCall, transfer: readonly ArrayBuffer[]) => serve(structuredClone(call, { transfer: [...transfer] })),
      terminate: () => undefined,
    };
  };
  return engineInThread(start, {});
}

async function workbench(engine: Engine, where: "device" | "processor", residuals: ResidualStore): Promise<Workbench> {
  const bench = new Workbench({
    createEngine: () => overPort(engine, where),
    onDevice: () => undefined,
    data: { batch: async ({ assignment }, from, to, rows) => probeBatch(MODEL, rows, to - from, 100 * assignment.version + from) },
    identity: { volunteer: "ab".repeat(32), sign: async () => "00".repeat(64) },
    blobs: { get: async (name) => blobs.get(name) ?? expect.fail() },
    hash: async (bytes) => sha256(bytes),
    clock: { now: () => performance.now(), sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)) },
    residuals,
    onWeights: () => undefined,
  });
  await bench.test(false);
  return bench;
}

/** The bytes that are ready to be sent. */
async function work(bench: Workbench, assignment: Assignment): Promise<Uint8Array> {
  const { plan } = await bench.prepare(assignment.lease, assignment);
  for (let index = 0; index < pieces(plan); index++) await bench.compute(assignment.lease, index);
  const sizeBytes = (await bench.pack(assignment.lease)) ?? expect.fail();
  const frame = bench.chunk(assignment.lease, 0) ?? expect.fail();
  return frame.slice(-sizeBytes);
}

describe("a volunteer with topk on WebGPU", { timeout: 120_000 }, () => {
  let engine: Engine | null = null;
  /** A device of its own, which knows nothing of the one before. */
  const anew = async (): Promise<Engine> => {
    engine?.dispose();
    engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
    return engine;
  };
  afterEach(() => {
    vi.restoreAllMocks();
    engine?.dispose();
    engine = null;
  });

  const VISITS: readonly (readonly Verdict[])[] = [
    ["admitted", "refused", "admitted", "admitted"],
    ["admitted", "admitted"],
  ];
  it.each([
    ["gradient", GRADIENT],
    ["local-steps", STEPS],
  ])("in mode %s sends the bytes of one on the processor, over a refusal and a reload", async (_, spec) => {
    const sides = (["device", "processor"] as const).map((where) => {
      const residuals = memoryResiduals();
      const sent: Uint8Array[] = [];
      return { where, residuals, sent, saved: async () => decodeResidual((await residuals.get("tiny")) ?? new Uint8Array()) };
    });
    let number = 0;
    for (const verdicts of VISITS) {
      const shared = await anew();
      for (const { where, residuals, sent, saved } of sides) {
        const bench = await workbench(shared, where, residuals);
        for (const [index, verdict] of verdicts.entries()) {
          const assignment = leaseOf(spec, number + index);
          sent.push(await work(bench, assignment));
          expect(await saved()).toBeNull();
          bench.discard(assignment.lease, verdict);
        }
        await vi.waitFor(async () => expect(await saved()).not.toBeNull());
        await bench.free();
      }
      number += verdicts.length;
    }
    const [device, processor] = sides;
    expect(device?.sent.length).toBe(6);
    expect(device?.sent).toEqual(processor?.sent);
    const kept = (await device?.saved()) ?? expect.fail();
    expect(kept).toEqual(await processor?.saved());
    expect(kept.some((value) => value !== 0)).toBe(true);
  });

  it.each([
    ["gradient", GRADIENT, 2],
    ["local-steps", STEPS, 4],
  ])(
    "in mode %s has read packed bytes and losses alone when they can be sent; what is left unsaid comes beside that",
    async (_, spec, losses) => {
      const residuals = memoryResiduals();
      const bench = await workbench(await anew(), "device", residuals);
      // Compiled and checked by then.
      await work(bench, leaseOf(spec, 0));
      bench.discard("0.0", "admitted");
      await vi.waitFor(async () => expect(await residuals.get("tiny")).not.toBeNull());
      const read: number[] = [];
      let open: () => void = () => undefined;
      const gate = new Promise<void>((resolve) => {
        open = resolve;
      });
      const { mapAsync } = GPUBuffer.prototype;
      vi.spyOn(GPUBuffer.prototype, "mapAsync").mockImplementation(async function (this: GPUBuffer, mode, offset = 0, bytes = this.size) {
        if (bytes >= 4 * size) await gate;
        read.push(bytes);
        return mapAsync.call(this, mode, offset, bytes);
      });
      await work(bench, leaseOf(spec, 1));
      // Two words of faults before, and a loss for each micro-batch after.
      expect(read).toEqual([8 + 4 * Math.ceil(topkBytes(size) / 4) + 4 * losses]);
      expect(8 * read.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(size);
      bench.discard("1.0", "admitted");
      expect(await residuals.get("tiny")).toBeNull();
      open();
      await vi.waitFor(async () => expect(await residuals.get("tiny")).not.toBeNull());
      expect(read[1]).toBe(4 * size);
      await bench.free();
    },
  );
});
