// A volunteer at leases of local steps: what it sends, that it throttles, pauses and gives up between steps, that the next lease is here when
// the device is free, and what biased codecs keep.
import { f32FromHex, f32ToHex } from "@weft/protocol";
import { codecNamed, decode, decodeResidual, encodeResidual } from "@weft/tensors";
import { describe, expect, it } from "vitest";
import { LOCAL, type World, world } from "../test/fixture.ts";
import { memoryResiduals, type ResidualStore } from "./residuals.ts";

const RATE = { learningRate: f32ToHex(0.1) };
const payload = (w: World, lease: string): Uint8Array => new Uint8Array(Buffer.concat(w.coordinator.uploads.get(lease)?.chunks ?? []));
const updateOf = (w: World, lease: string, codec: string, size = 6): number[] => {
  const decoded = decode(codecNamed(codec) ?? expect.fail(), payload(w, lease), size);
  return decoded.ok ? [...decoded.update] : expect.fail();
};

describe("a lease of local steps", () => {
  it("sends what its steps came to, as the assignment's codec says, and counts each sample", async () => {
    const w = world({ spec: LOCAL });
    w.coordinator.leases = [w.lease("0.0", RATE)];
    w.volunteer.start("tiny");
    await w.until(() => w.coordinator.admitted.length === 1);
    expect(w.coordinator.admitted[0]).toMatchObject({ samples: 20, codec: "f32", computeMs: 50 });
    expect(f32FromHex(w.coordinator.admitted[0]?.lossMean ?? "")).toBe(2);
    // Three steps of 8, 8 and 4 samples in micro-batches of 4: value i moves by 20 (i + 1), and is not divided.
    expect(updateOf(w, "0.0", "f32")).toEqual([20, 40, 60, 80, 100, 120]);
    expect(w.engines[0]?.stepsBegun).toEqual([0, 1, 2]);
    await w.until(() => w.volunteer.snapshot().status.state === "waiting");
    expect(w.volunteer.snapshot()).toMatchObject({ admitted: 1, steps: 3, samples: 20, losses: [2], shares: [{ share: 0.25 }] });
  });

  it("begins each step when its effort lets it", async () => {
    const w = world({ spec: LOCAL, prepare: (engine) => (engine.stepMs = 100) });
    w.coordinator.leases = [w.lease("0.0", RATE)];
    w.volunteer.setEffort(0.25);
    w.volunteer.start();
    await w.clock.advance(210);
    expect(w.volunteer.snapshot().steps).toBe(1);
    await w.clock.advance(590);
    expect(w.engines[0]?.steps).toBe(2);
    await w.clock.advance(220);
    expect(w.volunteer.snapshot().steps).toBe(2);
    await w.until(() => w.coordinator.admitted.length === 1);
    expect(w.coordinator.admitted[0]?.computeMs).toBe(500);
  });

  it.each([
    ["paused", (w: World) => w.volunteer.pause()],
    ["revoked", (w: World) => w.coordinator.handlers?.notice("revoke", { run: "tiny", lease: "0.0", attempt: 1, reason: "settled" })],
  ])("that is %s ends after the step in hand: the device gets no more samples, and the next lease has it", async (_, interrupt) => {
    const w = world({ spec: LOCAL, prepare: (engine) => (engine.stepMs = 100) });
    w.coordinator.leases = [w.lease("0.0", RATE)];
    w.volunteer.start();
    await w.until(() => w.volunteer.snapshot().steps === 1);
    interrupt(w);
    await w.clock.advance(1_000);
    expect(w.engines[0]?.steps).toBe(4);
    w.coordinator.leases = [w.lease("1.0", RATE)];
    w.coordinator.handlers?.notice("work", { run: "tiny", version: 1 });
    w.volunteer.resume();
    await w.until(() => w.coordinator.admitted.length === 1);
    expect(w.coordinator.admitted.map(({ lease }) => lease)).toEqual(["1.0"]);
    expect(updateOf(w, "1.0", "f32")).toEqual([20, 40, 60, 80, 100, 120]);
  });

  it("on a device that is lost is given back, and another has a new engine", async () => {
    const w = world({ spec: LOCAL });
    w.coordinator.leases = [w.lease("0.0", RATE), w.lease("0.1", RATE)];
    w.volunteer.start();
    await w.until(() => w.engines[0]?.steps === 1);
    if (w.engines[0]) w.engines[0].failing = "GPU gone";
    await w.until(() => w.coordinator.admitted.length === 1);
    expect(w.coordinator.said("release")).toMatchObject([{ lease: "0.0" }]);
    expect(w.engines.length).toBe(2);
  });

  it("without a learning rate, or in another codec than the run's, is refused here", async () => {
    const w = world({ spec: { ...LOCAL, training: { ...LOCAL.training, codec: "ternary" } } as typeof LOCAL });
    w.coordinator.leases = [w.lease("0.0", { codec: "ternary" }), w.lease("0.1", RATE)];
    w.volunteer.start();
    await w.until(() => w.coordinator.said("release").length === 1);
    expect(w.volunteer.snapshot().lastRefusal).toMatchObject({ code: "bad-message", message: expect.stringContaining("learning rate") });
    await w.until(() => w.coordinator.said("release").length === 2);
    expect(w.volunteer.snapshot().lastRefusal?.code).toBe("wrong-codec");
  });
});

describe("the next lease", () => {
  it("is asked for and fetched while the device is at the last steps of the one before, and begins at once", async () => {
    const w = world({ spec: LOCAL, prepare: (engine) => (engine.stepMs = 500) });
    w.coordinator.leases = ["0.0", "1.0", "2.0", "3.0"].map((lease) => w.lease(lease, { ...RATE, samples: 40 }));
    w.volunteer.start();
    await w.until(() => w.coordinator.admitted.length === 4);
    const { spentMs } = w.volunteer.snapshot();
    // Ten micro-batches of half a second each; nothing of it goes by without the device but the first fetch and the last upload.
    expect(spentMs.computing).toBe(4 * 5_000);
    expect(spentMs.downloading + spentMs.waiting + spentMs.uploading).toBeLessThan(200);
    expect(w.engines[0]?.weightsSet).toBe(4);
    expect(w.coordinator.said("progress").at(-1)).toMatchObject({
      spentMs: { computing: expect.any(Number), waiting: expect.any(Number) },
    });
  });

  it("of a single step says on what time goes, too", async () => {
    const w = world({ spec: LOCAL, prepare: (engine) => (engine.stepMs = 2_000) });
    w.coordinator.leases = ["0.0", "1.0"].map((lease) => w.lease(lease, { ...RATE, samples: 4 }));
    w.volunteer.start();
    await w.until(() => w.coordinator.admitted.length === 2);
    expect(w.coordinator.said("progress")).toMatchObject([
      { lease: "0.0", done: 1, of: 1, spentMs: { computing: 2_000 } },
      { lease: "1.0", done: 1, of: 1, spentMs: { computing: 4_000 } },
    ]);
  });

  it("that was fetched ahead is given back where the volunteer finishes", async () => {
    const w = world({ spec: LOCAL, prepare: (engine) => (engine.stepMs = 500) });
    w.coordinator.leases = ["0.0", "1.0", "2.0"].map((lease) => w.lease(lease, { ...RATE, samples: 40 }));
    w.volunteer.start();
    await w.until(() => w.coordinator.said("lease").length === 3);
    w.volunteer.finish();
    await w.until(() => w.volunteer.snapshot().status.state === "stopped");
    expect(w.coordinator.admitted.map(({ lease }) => lease)).toEqual(["0.0", "1.0"]);
    expect(w.coordinator.said("release")).toMatchObject([{ lease: "2.0" }]);
  });
});

describe("a biased codec", () => {
  const sign = { ...RATE, codec: "sign" } as const;

  it("keeps what it could not say when the contribution is admitted, adds it to the next, and begins the next visit with it", async () => {
    const residuals = memoryResiduals();
    const w = world({ spec: LOCAL, residuals });
    w.coordinator.leases = [w.lease("0.0", sign), w.lease("1.0", sign)];
    w.volunteer.start();
    await w.until(() => w.coordinator.admitted.length === 2);
    // The mean magnitude of 20 (i + 1) is 70: what is kept are the differences, and the second update is said from their sum with the first.
    expect(updateOf(w, "0.0", "sign")).toEqual(new Array(6).fill(70));
    const wanted = [20, 40, 60, 80, 100, 120].map((value) => value - 70 + value);
    const mean = wanted.reduce((sum, value) => sum + Math.abs(value), 0) / 6;
    const [first = 0] = updateOf(w, "1.0", "sign");
    expect(Math.abs(first)).toBeCloseTo(mean, 0);
    expect(updateOf(w, "1.0", "sign")).toEqual(wanted.map((value) => Math.sign(value) * Math.abs(first)));
    await w.until(() => w.volunteer.snapshot().status.state === "waiting");
    const kept = decodeResidual((await residuals.get("tiny")) ?? new Uint8Array());
    expect([...(kept ?? [])]).toEqual(wanted.map((value) => value - Math.sign(value) * Math.abs(first)));
    const next = world({ spec: LOCAL, residuals });
    next.coordinator.leases = [next.lease("2.0", sign)];
    next.volunteer.start();
    await next.until(() => next.coordinator.admitted.length === 1);
    expect(updateOf(next, "2.0", "sign")).not.toEqual(updateOf(w, "0.0", "sign"));
  });

  it("is as it was before a contribution that is refused", async () => {
    const residuals = memoryResiduals();
    const w = world({ spec: LOCAL, residuals });
    w.coordinator.leases = [w.lease("0.0", sign), w.lease("1.0", sign)];
    let refusals = 0;
    w.coordinator.answers.chunk = (frame: Uint8Array) =>
      refusals++ === 0 ? { ok: false, code: "stale", message: "Too old." } : w.coordinator.receive(frame);
    w.volunteer.start();
    await w.until(() => w.coordinator.admitted.length === 1);
    expect(w.coordinator.admitted[0]?.lease).toBe("1.0");
    expect(updateOf(w, "1.0", "sign")).toEqual(new Array(6).fill(70));
  });

  it("forgets what it kept where nobody knows whether the contribution counts", async () => {
    const residuals = memoryResiduals();
    const w = world({ spec: LOCAL, residuals });
    w.coordinator.leases = [w.lease("0.0", sign), w.lease("1.0", sign)];
    w.volunteer.start();
    await w.until(() => w.coordinator.admitted.length === 1);
    w.coordinator.answers.chunk = null;
    await w.until(() => w.coordinator.uploads.has("1.0"));
    await w.volunteer.stop();
    expect(await residuals.get("tiny")).toBeNull();
  });

  it("that loses its lease while what is kept is being taken keeps it, and holds up no lease after", async () => {
    const residuals = memoryResiduals();
    let taken: () => void = () => undefined;
    const slow: ResidualStore = {
      ...residuals,
      delete: async (run) => {
        await new Promise<void>((resolve) => {
          taken = resolve;
        });
        await residuals.delete(run);
      },
    };
    const began = Float32Array.of(50, -200, 30, -400, 50, -600);
    await residuals.set("tiny", encodeResidual(began));
    const w = world({ spec: LOCAL, residuals: slow });
    w.coordinator.leases = [w.lease("0.0", sign)];
    w.volunteer.start();
    await w.clock.advance(1_000);
    w.coordinator.handlers?.notice("revoke", { run: "tiny", lease: "0.0", attempt: 1, reason: "settled" });
    await w.clock.advance(0);
    taken();
    await w.clock.advance(0);
    expect(decodeResidual((await residuals.get("tiny")) ?? new Uint8Array())).toEqual(began);
    slow.delete = residuals.delete;
    w.coordinator.leases = [w.lease("1.0", sign)];
    w.coordinator.handlers?.notice("work", { run: "tiny", version: 1 });
    await w.until(() => w.coordinator.admitted.length === 1);
    expect(updateOf(w, "1.0", "sign").map(Math.sign)).toEqual([1, -1, 1, -1, 1, -1]);
  });

  it("encodes the next contribution only when the one before is settled", async () => {
    const w = world({ spec: LOCAL, prepare: (engine) => (engine.stepMs = 500), residuals: memoryResiduals() });
    w.coordinator.leases = [w.lease("0.0", sign), w.lease("1.0", sign)];
    w.coordinator.answers.chunk = null;
    w.volunteer.start();
    await w.clock.advance(9_000);
    expect(w.engines[0]?.steps).toBe(10);
    expect([...w.coordinator.uploads.keys()]).toEqual(["0.0"]);
  });
});
