// A volunteer whose device encodes by codecs with error feedback: the residual is kept here, whatever becomes of the device, of a lease or of the
// page, so that what is sent is what a volunteer sends that encodes on the processor.
import { f32ToHex, type RunSpec } from "@weft/protocol";
import { codecNamed, decodeResidual, encodeResidual } from "@weft/tensors";
import { describe, expect, it } from "vitest";
import { type FakeEngine, LOCAL, SPEC, type World, world } from "../test/fixture.ts";
import { memoryResiduals, type ResidualStore } from "./residuals.ts";

const SIGN = { learningRate: f32ToHex(0.1), codec: "sign" } as const;
const payload = (w: World, lease: string): string => Buffer.concat(w.coordinator.uploads.get(lease)?.chunks ?? []).toString("hex");
const onDevice = (engine: FakeEngine): void => {
  engine.packs = ["sign"];
};
/** Leases that last: the next one is computed while one is sent. */
const slowly = (engine: FakeEngine): void => {
  onDevice(engine);
  engine.stepMs = 500;
};
const onProcessor = (): void => undefined;
const kept = async (residuals: ResidualStore): Promise<Float32Array | null> =>
  decodeResidual((await residuals.get("tiny")) ?? new Uint8Array());

function scene(
  residuals: ResidualStore,
  leases: readonly string[],
  { prepare = onDevice, spec = LOCAL }: { readonly prepare?: (engine: FakeEngine) => void; readonly spec?: RunSpec } = {},
): World {
  const w = world({ spec, prepare, residuals });
  w.coordinator.leases = leases.map((lease) => w.lease(lease, SIGN));
  w.volunteer.start();
  return w;
}
const more = (w: World, ...leases: string[]): void => {
  w.coordinator.leases = leases.map((lease) => w.lease(lease, SIGN));
  w.coordinator.handlers?.notice("work", { run: "tiny", version: 1 });
};
const revoke = (w: World, lease: string): void =>
  w.coordinator.handlers?.notice("revoke", { run: "tiny", lease, attempt: 1, reason: "settled" });
const isDone = (w: World, admitted: number) => () =>
  w.coordinator.admitted.length === admitted && w.volunteer.snapshot().status.state === "waiting";

/** Two visits: three leases, of which the second is refused, and two. What was sent of each, and what is kept at last. */
async function visits(spec: RunSpec, prepare: (engine: FakeEngine) => void) {
  const residuals = memoryResiduals();
  const first = scene(residuals, ["0.0", "1.0", "2.0"], { prepare, spec });
  const { coordinator } = first;
  coordinator.answers.chunk = (frame: Uint8Array) =>
    coordinator.uploads.size === 2 ? { ok: false, code: "stale", message: "Too old." } : coordinator.receive(frame);
  // Of the refused one nothing is received: its header tells what was to be sent.
  await first.until(isDone(first, 2));
  const second = scene(residuals, ["3.0", "4.0"], { prepare, spec });
  await second.until(isDone(second, 2));
  const sent = [first, second].flatMap((w) => [...w.coordinator.uploads.values()].map(({ header }) => header.sha256));
  return { sent, residuals: second.engines[0]?.residuals ?? [], kept: await kept(residuals) };
}

describe("a device that encodes by a codec with error feedback", () => {
  it.each([
    ["gradient", { ...SPEC, training: { ...SPEC.training, codec: "sign" } } as RunSpec],
    ["local-steps", LOCAL],
  ])("in mode %s sends what the processor would, lease for lease, over a refusal and a reload", async (_, spec) => {
    const device = await visits(spec, onDevice);
    const processor = await visits(spec, onProcessor);
    expect(device.sent.length).toBe(5);
    expect(device.sent).toEqual(processor.sent);
    expect(device.kept).toEqual(processor.kept);
    expect(device.residuals[0]?.some((value) => value !== 0)).toBe(true);
    expect(processor.residuals).toEqual([]);
  });

  it("is given the residual only when the contribution before is settled, and is not busy meanwhile", async () => {
    const w = scene(memoryResiduals(), ["0.0", "1.0"], { prepare: slowly });
    const { coordinator } = w;
    let admit: () => void = () => undefined;
    coordinator.answers.chunk = (frame: Uint8Array) => new Promise((resolve) => (admit = () => resolve(coordinator.receive(frame))));
    await w.clock.advance(6_000);
    expect(w.engines[0]).toMatchObject({ works: [{}, {}], residuals: [new Float32Array(6)] });
    expect([...coordinator.uploads.keys()]).toEqual(["0.0"]);
    admit();
    await w.until(() => coordinator.uploads.size === 2);
    expect(w.engines[0]?.residuals[1]?.some((value) => value !== 0)).toBe(true);
    expect(coordinator.uploads.get("1.0")?.header.computeMs).toBe(2_500);
  });

  it("sends before what is left unsaid is here; that is kept, and given with the next lease, when it is", async () => {
    const residuals = memoryResiduals();
    const late: (() => void)[] = [];
    const w = scene(residuals, ["0.0", "1.0"], {
      prepare: (engine) => {
        onDevice(engine);
        const { packWithRest } = engine;
        engine.packWithRest = (...of) => {
          const { update, rest } = packWithRest(...of);
          return { update, rest: new Promise((resolve) => late.push(() => resolve(rest ?? null))) };
        };
      },
    });
    await w.until(() => w.coordinator.admitted.length === 1);
    await w.clock.advance(1_000);
    expect(await kept(residuals)).toBeNull();
    expect(w.engines[0]?.residuals.length).toBe(1);
    late[0]?.();
    await w.until(() => w.coordinator.admitted.length === 2);
    late[1]?.();
    await w.clock.advance(1_000);
    expect(await kept(residuals)).toEqual((await visitsOf("0.0", "1.0")).kept);
  });

  it.each([
    ["is lost with its device", null],
    ["is of another length", new Float32Array(5)],
    ["is not finite", Float32Array.of(1, 2, Number.NaN, 4, 5, 6)],
  ])("begins with nothing where what was left unsaid %s", async (_, rest) => {
    const residuals = memoryResiduals();
    const w = scene(residuals, ["0.0"], {
      prepare: (engine) => {
        onDevice(engine);
        const { packWithRest } = engine;
        engine.packWithRest = (...of) => ({ ...packWithRest(...of), rest: Promise.resolve(rest) });
      },
    });
    await w.until(isDone(w, 1));
    expect(await kept(residuals)).toBeNull();
    more(w, "1.0");
    await w.until(isDone(w, 2));
    expect(w.engines[0]?.residuals).toEqual([new Float32Array(6), new Float32Array(6)]);
  });

  it("that goes away, so that another gives f32, leaves the residual where it was", async () => {
    const w = scene(memoryResiduals(), ["0.0"]);
    await w.until(isDone(w, 1));
    const engine = w.engines[0] ?? expect.fail();
    engine.packs = [];
    more(w, "1.0");
    await w.until(isDone(w, 2));
    engine.packs = ["sign"];
    more(w, "2.0");
    await w.until(isDone(w, 3));
    const { sent } = await visitsOf("0.0", "1.0", "2.0");
    expect(["0.0", "1.0", "2.0"].map((lease) => payload(w, lease))).toEqual(sent);
  });

  it("that is lost while a contribution is on its way: another engine goes on with what that left unsaid", async () => {
    const w = scene(memoryResiduals(), ["0.0", "1.0"]);
    const engine = (): FakeEngine => w.engines[0] ?? expect.fail();
    await w.until(() => w.coordinator.uploads.size === 1);
    engine().failing = "device lost";
    await w.until(() => w.engines.length === 2);
    more(w, "2.0");
    await w.until(() => w.coordinator.admitted.length === 2);
    expect(payload(w, "2.0")).toBe((await visitsOf("0.0", "2.0")).sent[1]);
  });

  it.each(["refused by the device", "given back before it is sent"])("keeps the residual where an update is %s", async (how) => {
    const residuals = memoryResiduals();
    const began = Float32Array.of(50, -200, 30, -400, 50, -600);
    await residuals.set("tiny", encodeResidual(began));
    let pause: () => void = () => undefined;
    const w = scene(residuals, ["0.0"], {
      prepare: (engine) => {
        onDevice(engine);
        engine.packWithRest = (update) => {
          if (how !== "refused by the device") pause();
          return { update: how === "refused by the device" ? { ok: false, fault: "not-finite", detail: "NaN" } : update };
        };
      },
    });
    pause = () => revoke(w, "0.0");
    await w.clock.advance(1_000);
    expect(w.engines[0]?.residuals).toEqual([began]);
    expect(w.coordinator.uploads.size).toBe(0);
    expect(await kept(residuals)).toEqual(began);
  });

  it("holds up no lease after one that is dropped while it waits for the residual", async () => {
    const w = scene(memoryResiduals(), ["0.0", "1.0"], { prepare: slowly });
    const { coordinator } = w;
    let admit: () => void = () => undefined;
    coordinator.answers.chunk = (frame: Uint8Array) => new Promise((resolve) => (admit = () => resolve(coordinator.receive(frame))));
    await w.clock.advance(6_000);
    expect(w.engines[0]?.works.length).toBe(2);
    revoke(w, "1.0");
    more(w, "2.0");
    await w.clock.advance(1_000);
    // Nor does the device wait on for what nobody wants.
    expect(w.engines[0]?.works.length).toBe(3);
    admit();
    await w.until(() => coordinator.uploads.has("2.0"));
    admit();
    await w.until(isDone(w, 2));
    expect(payload(w, "2.0")).toBe((await visitsOf("0.0", "2.0")).sent[1]);
    expect(w.engines[0]?.residuals.length).toBe(2);
  });

  it("loses what is kept where nobody knows what became of a contribution", async () => {
    const residuals = memoryResiduals();
    const w = scene(residuals, ["0.0"]);
    await w.until(isDone(w, 1));
    expect(await kept(residuals)).not.toBeNull();
    w.coordinator.answers.chunk = null;
    more(w, "1.0");
    await w.until(() => w.coordinator.uploads.has("1.0"));
    await w.volunteer.stop();
    expect(await kept(residuals)).toBeNull();
  });
});

/** What a volunteer that encodes on the processor sends of these leases, all of which are admitted, and keeps. */
async function visitsOf(...leases: string[]): Promise<{ readonly sent: readonly string[]; readonly kept: Float32Array | null }> {
  const residuals = memoryResiduals();
  const w = scene(residuals, leases, { prepare: onProcessor });
  await w.until(isDone(w, leases.length));
  expect(codecNamed("sign")?.feedback).toBe(1);
  return { sent: leases.map((lease) => payload(w, lease)), kept: await kept(residuals) };
}
