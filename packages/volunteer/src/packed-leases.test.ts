// A volunteer whose device encodes updates itself: what it asks of the engine, what it sends, and what it does where the device cannot.
import { f32FromHex, f32ToHex, leaseNumber, type RunSpec } from "@weft/protocol";
import { codecNamed, decode } from "@weft/tensors";
import { describe, expect, it } from "vitest";
import { LOCAL, SPEC, type World, world } from "../test/fixture.ts";

const RATE = { learningRate: f32ToHex(0.1) };
const inCodec = (spec: RunSpec, codec: "int8" | "int4" | "ternary"): RunSpec => ({ ...spec, training: { ...spec.training, codec } });
const payload = (w: World, lease: string): Uint8Array => new Uint8Array(Buffer.concat(w.coordinator.uploads.get(lease)?.chunks ?? []));
const encoded = (codec: string, values: readonly number[], lease: string): Uint8Array => {
  const made = codecNamed(codec)?.encode(Float32Array.from(values), { seed: SPEC.seed, lease: leaseNumber(lease) });
  return made?.ok ? made.bytes : expect.fail();
};

describe("a lease whose update the device encodes", () => {
  it("in mode gradient is one call to the engine, which takes the micro-batches and gives the mean gradient's bytes", async () => {
    const w = world({ spec: inCodec(SPEC, "int8"), prepare: (engine) => (engine.packs = ["int8"]) });
    w.coordinator.leases = [w.lease("0.0", { codec: "int8" }), w.lease("1.0", { codec: "int8" })];
    w.volunteer.start();
    await w.until(() => w.coordinator.admitted.length === 2);
    const stream = { seed: SPEC.seed, lease: leaseNumber("0.0") };
    expect(w.engines[0]?.works[0]).toEqual({ kind: "gradient", steps: 3, codec: "int8", stream });
    expect(w.engines[0]?.stepsBegun).toEqual([0, 1, 2, 0, 1, 2]);
    for (const lease of ["0.0", "1.0"]) expect(payload(w, lease)).toEqual(encoded("int8", [1, 2, 3, 4, 5, 6], lease));
    expect(w.coordinator.admitted[0]).toMatchObject({ samples: 20, codec: "int8", computeMs: 30 });
    expect(f32FromHex(w.coordinator.admitted[0]?.lossMean ?? "")).toBe(2);
    await w.until(() => w.volunteer.snapshot().status.state === "waiting");
    expect(w.volunteer.snapshot()).toMatchObject({ admitted: 2, steps: 6, samples: 40, losses: [2, 2] });
  });

  it("in mode local-steps is named with its steps, and what the device packed is sealed here", async () => {
    // One scale of 1 and six levels, the first of which is 1 and the second -1.
    const plain = Uint8Array.of(0, 0x3c, 1 + 2 * 3, 0);
    const w = world({
      spec: inCodec(LOCAL, "ternary"),
      prepare: (engine) => {
        engine.packs = ["ternary"];
        engine.pack = () => ({ ok: true, bytes: plain });
      },
    });
    w.coordinator.leases = [w.lease("0.0", { ...RATE, codec: "ternary" })];
    w.volunteer.start();
    await w.until(() => w.coordinator.admitted.length === 1);
    expect(w.engines[0]?.works).toMatchObject([{ kind: "local-steps", codec: "ternary", work: { steps: 3, state: "tiny" } }]);
    const codec = codecNamed("ternary") ?? expect.fail();
    expect(payload(w, "0.0")).toEqual(codec.seal?.(plain, 6));
    const decoded = decode(codec, payload(w, "0.0"), 6);
    expect(decoded.ok ? [...decoded.update] : decoded).toEqual([1, -1, 0, 0, 0, 0]);
  });

  it.each([
    ["gradient", SPEC, [1, 2, 3, 4, 5, 6]],
    ["local-steps", LOCAL, [20, 40, 60, 80, 100, 120]],
  ] as const)("in mode %s is encoded here, to the same bytes, where the device gave it as f32", async (_, spec, update) => {
    const w = world({
      spec: inCodec(spec, "int4"),
      prepare: (engine) => {
        engine.packs = ["int4"];
        engine.pack = (values) => values;
      },
    });
    w.coordinator.leases = [w.lease("0.0", { ...RATE, codec: "int4" })];
    w.volunteer.start();
    await w.until(() => w.coordinator.admitted.length === 1);
    expect(payload(w, "0.0")).toEqual(encoded("int4", update, "0.0"));
  });

  it("that cannot be encoded is given back with the device's reason, and nothing is sent", async () => {
    const w = world({
      spec: inCodec(SPEC, "int8"),
      prepare: (engine) => {
        engine.packs = ["int8"];
        engine.pack = () => ({ ok: false, fault: "not-finite", detail: "a value is NaN or infinite" });
      },
    });
    w.coordinator.leases = [w.lease("0.0", { codec: "int8" })];
    w.volunteer.start();
    await w.until(() => w.coordinator.said("release").length === 1);
    expect(w.volunteer.snapshot().lastRefusal).toMatchObject({ code: "not-finite", message: "a value is NaN or infinite" });
    expect(w.coordinator.uploads.size).toBe(0);
  });

  it("on a device that goes away meanwhile still comes to an end: what was begun as one call is not begun as another", async () => {
    const w = world({ spec: inCodec(SPEC, "int8"), prepare: (engine) => (engine.packs = ["int8"]) });
    w.coordinator.leases = [w.lease("0.0", { codec: "int8" }), w.lease("1.0", { codec: "int8" })];
    w.volunteer.start();
    await w.until(() => w.coordinator.said("lease").length > 0 && w.volunteer.snapshot().lease !== null);
    const engine = w.engines[0] ?? expect.fail();
    engine.packs = [];
    engine.pack = (values) => values;
    await w.until(() => w.coordinator.admitted.length === 2);
    for (const lease of ["0.0", "1.0"]) expect(payload(w, lease)).toEqual(encoded("int8", [1, 2, 3, 4, 5, 6], lease));
  });

  it("in a codec that the device does not encode is added up as before", async () => {
    const w = world({ prepare: (engine) => (engine.packs = ["int8"]) });
    w.coordinator.leases = [w.lease("0.0")];
    w.volunteer.start();
    await w.until(() => w.coordinator.admitted.length === 1);
    expect(w.engines[0]).toMatchObject({ works: [], stepsBegun: [], steps: 3 });
  });
});
