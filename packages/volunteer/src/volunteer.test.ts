import { CHUNK_BYTES, f32FromHex } from "@weft/protocol";
import { f32FromBytes } from "@weft/tensors";
import { describe, expect, it } from "vitest";
import { sha, world } from "../test/fixture.ts";

const state = (w: ReturnType<typeof world>): string => w.volunteer.snapshot().status.state;

describe("volunteer", () => {
  it("turns a lease into a signed mean gradient and keeps count of it", async () => {
    const w = world();
    w.coordinator.leases = [w.lease("0.0")];
    w.volunteer.start("tiny");
    await w.until(() => w.coordinator.admitted.length === 1);
    const [header] = w.coordinator.admitted;
    expect(header).toMatchObject({
      run: "tiny",
      lease: "0.0",
      samples: 20,
      codec: "f32",
      base: w.lease("0.0").weights.sha256,
      computeMs: 30,
    });
    expect(f32FromHex(header?.lossMean ?? "")).toBe(2);
    const bytes = Buffer.concat(w.coordinator.uploads.get("0.0")?.chunks ?? []);
    const decoded = f32FromBytes(bytes);
    expect([...decoded]).toEqual([1, 2, 3, 4, 5, 6]);
    const [opened] = w.coordinator.said("contribution") as { signature: string }[];
    expect(opened?.signature).toBe(sha(new TextEncoder().encode("weft-contribution-1")).repeat(2));
    await w.until(() => state(w) === "waiting");
    expect(w.volunteer.snapshot()).toMatchObject({
      admitted: 1,
      steps: 3,
      samples: 20,
      losses: [2],
      shares: [{ run: "tiny", version: 1, share: 0.5 }],
      bytesUp: bytes.length,
      status: { state: "waiting", reason: "Nothing to do." },
    });
    const { milestones } = w.volunteer.snapshot();
    expect(milestones.firstAdmittedMs).toBeGreaterThanOrEqual(30);
    expect(Object.keys(milestones).sort()).toEqual(["connectedMs", "firstAdmittedMs", "firstLeaseMs", "selfTestMs"]);
  });

  it("fetches weights and sets them only when their hash changed", async () => {
    const w = world();
    w.coordinator.leases = [w.lease("0.0"), w.lease("0.1"), w.lease("1.0")];
    w.volunteer.start();
    await w.until(() => w.coordinator.admitted.length === 3);
    expect(w.engines[0]?.weightsSet).toBe(2);
    expect(w.blobs.asked.length).toBe(4); // specification, manifest, two weights
  });

  it("asks for the next lease while the last one is being decided on, and never holds more than two", async () => {
    const w = world({ prepare: (engine) => (engine.stepMs = 100) });
    w.coordinator.leases = [w.lease("0.0"), w.lease("0.1"), w.lease("0.2")];
    w.coordinator.answers.chunk = null;
    w.volunteer.start();
    await w.until(() => w.coordinator.uploads.size === 2);
    await w.clock.advance(2_000);
    expect(w.coordinator.said("lease").length).toBe(2);
    expect(w.engines[0]?.steps).toBe(6);
  });

  it("does not ask ahead of the verdict where leases take no time", async () => {
    const w = world();
    w.coordinator.leases = [w.lease("0.0"), w.lease("0.1")];
    w.coordinator.answers.chunk = null;
    w.volunteer.start();
    await w.clock.advance(2_000);
    expect(w.coordinator.said("lease").length).toBe(1);
  });

  it("keeps an upload through many refusals that name a short wait, and gives a lease back though the first try is refused", async () => {
    const w = world();
    w.coordinator.leases = [w.lease("0.0")];
    let refusals = 0;
    w.coordinator.answers.chunk = (frame: Uint8Array) =>
      refusals++ < 7 ? { ok: false, code: "rate-limited", message: "Slower.", retryAfterMs: 5 } : w.coordinator.receive(frame);
    w.volunteer.start();
    await w.until(() => w.coordinator.admitted.length === 1);
    w.coordinator.answers.release = () =>
      w.coordinator.said("release").length < 3 ? { ok: false, code: "rate-limited", message: "Slower." } : { ok: true, value: null };
    w.coordinator.leases = [w.lease("1.0", { weights: { sha256: "00".repeat(32), sizeBytes: 24 } })];
    w.coordinator.handlers?.notice("work", { run: "tiny", version: 1 });
    await w.until(() => w.coordinator.said("release").length === 3);
    await w.clock.advance(10_000);
    expect(w.coordinator.said("release").length).toBe(3);
  });

  it("says hello anew with the device that took the place of a lost one, keeps the lease in hand, and does so again on the way back", async () => {
    const w = world({ prepare: (engine) => (engine.stepMs = 100) });
    const [gpu, wasm] = (["webgpu", "wasm"] as const).map((backend) => ({ backend, description: backend, software: false }));
    w.coordinator.leases = [w.lease("0.0", { samples: 40 })];
    w.volunteer.start();
    const hellos = () => (w.coordinator.said("hello") as { device: { backend: string } }[]).map(({ device }) => device.backend);
    await w.until(() => w.volunteer.snapshot().steps === 1);
    const [engine] = w.engines;
    if (engine === undefined || gpu === undefined || wasm === undefined) throw new Error("no engine");
    w.coordinator.open = [w.lease("0.0", { samples: 40 })];
    engine.device = gpu;
    await w.until(() => hellos().length === 2);
    engine.device = wasm;
    await w.until(() => hellos().length === 3);
    expect(hellos()).toEqual(["cpu", "webgpu", "wasm"]);
    await w.until(() => w.coordinator.admitted.length === 1);
    expect(w.coordinator.admitted.map(({ lease }) => lease)).toEqual(["0.0"]);
    expect(w.coordinator.said("release")).toEqual([]);
    expect(w.volunteer.snapshot()).toMatchObject({ device: wasm, steps: 5, admitted: 1 });
    expect(engine.disposed).toBe(false);
  });

  it("stops where the device that took the place of a lost one gets its gradients wrong", async () => {
    const w = world({ prepare: (engine) => (engine.stepMs = 100) });
    w.coordinator.leases = [w.lease("0.0")];
    w.volunteer.start();
    await w.until(() => w.volunteer.snapshot().steps === 1);
    const [engine] = w.engines;
    if (engine === undefined) throw new Error("no engine");
    engine.passes = false;
    engine.device = { ...engine.device, backend: "wasm" };
    await w.until(() => state(w) === "unfit");
    expect(w.coordinator.admitted).toEqual([]);
  });

  it("sleeps between micro-batches as its effort says, from the next micro-batch on", async () => {
    const w = world({ prepare: (engine) => (engine.stepMs = 100) });
    w.coordinator.leases = [w.lease("0.0", { samples: 40 })];
    w.volunteer.setEffort(0.25);
    w.volunteer.start();
    await w.clock.advance(110);
    expect(w.volunteer.snapshot().steps).toBe(1);
    expect(w.volunteer.snapshot().samplesPerSecond).toBeCloseTo(20);
    await w.clock.advance(280);
    expect(w.volunteer.snapshot().steps).toBe(1);
    await w.clock.advance(120);
    expect(w.volunteer.snapshot().steps).toBe(2);
    w.volunteer.setEffort(1);
    expect(w.volunteer.snapshot().samplesPerSecond).toBeCloseTo(80);
    await w.clock.advance(300 + 110 + 110);
    expect(w.volunteer.snapshot().steps).toBe(4);
  });

  it("pause gives the lease back, says so and disconnects; resume works again", async () => {
    const w = world({ prepare: (engine) => (engine.stepMs = 100) });
    w.coordinator.leases = [w.lease("0.0"), w.lease("0.1")];
    w.volunteer.start();
    await w.until(() => w.volunteer.snapshot().steps === 1);
    w.volunteer.pause();
    await w.clock.advance(500);
    expect(w.coordinator.said("release")).toEqual([{ run: "tiny", lease: "0.0", attempt: 1 }]);
    expect(w.coordinator.said("leave")).toEqual([{ reason: "pause" }]);
    expect(w.volunteer.snapshot()).toMatchObject({ status: { state: "paused", untilMs: null, reason: "you" }, lease: null, steps: 1 });
    expect(w.coordinator.handlers).toBeNull();
    w.volunteer.resume();
    await w.until(() => w.coordinator.admitted.length === 1);
    expect(w.coordinator.admitted[0]?.lease).toBe("0.1");
  });

  it("a pause with an end goes on by itself", async () => {
    const w = world();
    w.volunteer.start();
    await w.until(() => state(w) === "waiting");
    w.coordinator.leases = [w.lease("0.0")];
    w.volunteer.pause(w.clock.now() + 30_000);
    await w.clock.advance(29_000);
    expect(state(w)).toBe("paused");
    await w.clock.advance(2_000);
    expect(w.coordinator.admitted.length).toBe(1);
  });

  it("works on only when nobody holds it any more: page thawed, and off the battery", async () => {
    const w = world();
    w.volunteer.start();
    await w.until(() => state(w) === "waiting");
    w.volunteer.hold("battery");
    w.volunteer.hold("frozen");
    await w.clock.advance(100);
    expect(w.volunteer.snapshot().status).toMatchObject({ state: "paused", reason: "battery" });
    w.volunteer.unhold("battery");
    await w.clock.advance(100);
    expect(w.volunteer.snapshot().status).toMatchObject({ state: "paused", reason: "frozen" });
    w.volunteer.unhold("frozen");
    await w.until(() => state(w) === "waiting");
    expect(w.coordinator.connections).toBe(2);
  });

  it("finish sends the lease in hand, then says goodbye and frees the device", async () => {
    const w = world();
    w.coordinator.leases = [w.lease("0.0"), w.lease("0.1")];
    w.volunteer.start();
    await w.until(() => w.volunteer.snapshot().steps === 1);
    w.volunteer.finish();
    expect(state(w)).toBe("finishing");
    await w.until(() => state(w) === "stopped");
    expect(w.coordinator.admitted.map(({ lease }) => lease)).toEqual(["0.0"]);
    expect(w.coordinator.said("leave")).toEqual([{ reason: "stop" }]);
    expect(w.engines[0]?.disposed).toBe(true);
  });

  it("stop says goodbye at once, and does not wait for an answer for ever", async () => {
    const w = world({ prepare: (engine) => (engine.stepMs = 100) });
    w.coordinator.leases = [w.lease("0.0")];
    w.coordinator.answers.leave = { ok: true, value: null };
    w.volunteer.start();
    await w.until(() => w.volunteer.snapshot().steps === 1);
    await w.volunteer.stop();
    expect(w.volunteer.snapshot()).toMatchObject({ status: { state: "stopped" }, lease: null });
    expect(w.coordinator.said("leave")).toEqual([{ reason: "stop" }]);
    await w.clock.advance(60_000);
    expect(w.engines[0]?.steps).toBeLessThanOrEqual(2);
    expect(w.coordinator.connections).toBe(1);
  });

  it("a lost connection shows, computing goes on, and the lease is kept when the coordinator still knows it", async () => {
    const w = world({ prepare: (engine) => (engine.stepMs = 200) });
    const assignment = w.lease("0.0", { samples: 40 });
    w.coordinator.leases = [assignment];
    w.volunteer.start();
    await w.until(() => w.volunteer.snapshot().steps === 1);
    w.coordinator.reachable = false;
    w.coordinator.cut();
    expect(w.volunteer.snapshot().status).toMatchObject({ state: "offline", leaseKeptUntilMs: expect.any(Number) });
    await w.clock.advance(3_000);
    expect(w.volunteer.snapshot().steps).toBe(5);
    w.coordinator.reachable = true;
    w.coordinator.open = [assignment];
    await w.until(() => w.coordinator.admitted.length === 1);
    expect(w.coordinator.connections).toBeGreaterThan(2);
    expect(w.engines[0]?.steps).toBe(5);
  });

  it("drops a half-done lease that the welcome no longer names, and gives back one it does not hold", async () => {
    const w = world({ prepare: (engine) => (engine.stepMs = 5_000) });
    w.coordinator.leases = [w.lease("0.0", { samples: 40 })];
    w.volunteer.start();
    await w.until(() => w.volunteer.snapshot().lease?.phase === "computing");
    w.coordinator.open = [w.lease("0.7")];
    w.coordinator.cut();
    await w.until(() => w.coordinator.said("release").length === 1);
    expect(w.coordinator.said("release")).toEqual([{ run: "tiny", lease: "0.7", attempt: 1 }]);
    expect(w.volunteer.snapshot().lease).toBeNull();
  });

  it("waits longer and longer between attempts, never over ten seconds", async () => {
    const w = world();
    w.coordinator.reachable = false;
    w.volunteer.start();
    const times: number[] = [];
    let seen = 0;
    for (let at = 0; at < 90_000; at += 50) {
      await w.clock.advance(50);
      if (w.coordinator.connections > seen) times.push(w.clock.now());
      seen = w.coordinator.connections;
    }
    const gaps = times.slice(1).map((time, index) => time - (times[index] as number));
    expect(gaps[0]).toBeLessThan(700);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(10_100);
    expect(Math.min(...gaps.slice(6))).toBeGreaterThanOrEqual(4_900);
  });

  it("resumes an interrupted upload at the coordinator's next chunk with the same bytes", async () => {
    const size = (2.5 * CHUNK_BYTES) / 4;
    const w = world({ size });
    w.coordinator.leases = [w.lease("0.0")];
    let received = 0;
    w.coordinator.answers.chunk = (frame: Uint8Array) => {
      received += 1;
      if (received > 1) return null;
      return w.coordinator.receive(frame);
    };
    w.volunteer.start();
    await w.until(() => received === 3);
    w.coordinator.cut();
    delete w.coordinator.answers.chunk;
    await w.until(() => w.coordinator.admitted.length === 1);
    const [first, second] = w.coordinator.said("contribution") as unknown[];
    expect(second).toEqual(first);
    expect(w.coordinator.said("chunk").length).toBe(3 + 2);
    expect(sha(Buffer.concat(w.coordinator.uploads.get("0.0")?.chunks ?? []))).toBe(w.coordinator.admitted[0]?.sha256);
    expect(w.engines[0]?.steps).toBe(3);
  });

  it("asks again for a verdict whose acknowledgement was lost", async () => {
    const w = world();
    w.coordinator.leases = [w.lease("0.0")];
    w.coordinator.answers.chunk = (frame: Uint8Array) => {
      w.coordinator.receive(frame);
      return null;
    };
    w.volunteer.start();
    await w.until(() => w.coordinator.admitted.length === 1);
    w.coordinator.answers.chunk = { ok: true, value: { kind: "admitted", version: 1 } };
    w.coordinator.cut();
    await w.until(() => w.volunteer.snapshot().admitted === 1);
  });

  it("stops computing when its lease is revoked, and asks for another; a second revocation changes nothing", async () => {
    const w = world({ prepare: (engine) => (engine.stepMs = 100) });
    w.coordinator.leases = [w.lease("0.0", { samples: 40 }), w.lease("0.1", { samples: 8 })];
    w.volunteer.start();
    await w.until(() => w.volunteer.snapshot().steps === 1);
    const notice = { run: "tiny", lease: "0.0", attempt: 1, reason: "settled-by-another" };
    w.coordinator.handlers?.notice("revoke", notice);
    w.coordinator.handlers?.notice("revoke", notice);
    await w.until(() => w.coordinator.admitted.length === 1);
    expect(w.coordinator.admitted[0]?.lease).toBe("0.1");
    expect(w.engines[0]?.steps).toBeLessThanOrEqual(3);
    expect(w.coordinator.said("release")).toEqual([]);
  });

  it("sends what it has computed to its end although its time is up, but not where another has answered", async () => {
    for (const [reason, admitted] of [
      ["expired", "0.0"],
      ["settled-by-another", "0.1"],
    ] as const) {
      const w = world();
      w.coordinator.leases = [w.lease("0.0", { samples: 8 }), w.lease("0.1", { samples: 8 })];
      w.coordinator.answers.contribution = { ok: false, code: "unavailable", message: "as many as can be taken arrive", retryAfterMs: 500 };
      w.volunteer.start();
      await w.until(() => w.coordinator.said("contribution").length > 0);
      w.coordinator.handlers?.notice("revoke", { run: "tiny", lease: "0.0", attempt: 1, reason });
      delete w.coordinator.answers.contribution;
      await w.until(() => w.coordinator.admitted.length > 0);
      expect(w.coordinator.admitted[0]?.lease).toBe(admitted);
    }
  });

  it("gives up a lease at its deadline and asks for the next", async () => {
    const w = world({ prepare: (engine) => (engine.stepMs = 400) });
    w.coordinator.leases = [w.lease("0.0", { samples: 40, remainingMs: 1_000 }), w.lease("0.1", { samples: 8 })];
    w.volunteer.start();
    await w.until(() => w.coordinator.admitted.length === 1);
    expect(w.coordinator.admitted[0]?.lease).toBe("0.1");
    expect(w.volunteer.snapshot().lastRefusal?.code).toBe("lease-expired");
  });

  it("asks again at once when there is work, also when the notice overtakes the answer", async () => {
    const w = world();
    w.volunteer.start();
    await w.until(() => state(w) === "waiting");
    w.coordinator.leases = [w.lease("0.0")];
    w.coordinator.handlers?.notice("work", { run: "tiny", version: 0 });
    await w.until(() => w.coordinator.admitted.length === 1);
    await w.until(() => state(w) === "waiting");
    let answer: (reply: unknown) => void = () => {};
    w.coordinator.answers.lease = () => new Promise((resolve) => (answer = resolve));
    w.coordinator.handlers?.notice("work", { run: "tiny", version: 1 });
    await w.clock.advance(10);
    w.coordinator.handlers?.notice("work", { run: "tiny", version: 2 });
    delete w.coordinator.answers.lease;
    w.coordinator.leases = [w.lease("2.0")];
    answer({ ok: true, value: { kind: "none", reason: "Between versions.", retryAfterMs: 60_000 } });
    await w.clock.advance(1_000);
    expect(w.coordinator.admitted.length).toBe(2);
  });

  it("a device that fails its self-test is not used, and the coordinator is not bothered", async () => {
    const w = world({ prepare: (engine) => (engine.passes = false) });
    w.volunteer.start();
    await w.until(() => state(w) === "unfit");
    expect(w.volunteer.snapshot().status).toEqual({ state: "unfit", reason: "wrong-values", detail: "All gradients are zero." });
    expect(w.coordinator.connections).toBe(0);
    expect(w.engines[0]?.disposed).toBe(true);
  });

  it("gives its lease back when the device is lost, and goes on with a new one under a new hello", async () => {
    const w = world();
    w.coordinator.leases = [w.lease("0.0"), w.lease("0.1")];
    w.volunteer.start();
    await w.until(() => w.volunteer.snapshot().steps === 1);
    (w.engines[0] as { failing: string | null }).failing = "device lost";
    await w.until(() => state(w) === "recovering");
    expect(w.volunteer.snapshot()).toMatchObject({
      lease: null,
      status: { state: "recovering", detail: "device lost", retryAtMs: expect.any(Number) },
    });
    await w.until(() => w.coordinator.admitted.length === 1);
    expect(w.coordinator.said("release")).toEqual([{ run: "tiny", lease: "0.0", attempt: 1 }]);
    expect(w.engines.map(({ disposed }) => disposed)).toEqual([true, false]);
    expect((w.coordinator.said("hello") as { device: { description: string } }[]).map(({ device }) => device.description)).toEqual([
      "fake 0",
      "fake 1",
    ]);
  });

  it("is unfit after three device failures without an admitted contribution between them", async () => {
    const w = world({ prepare: (engine) => (engine.failing = "device lost") });
    w.coordinator.leases = [w.lease("0.0"), w.lease("0.1"), w.lease("0.2"), w.lease("0.3")];
    w.volunteer.start();
    await w.until(() => state(w) === "unfit");
    expect(w.volunteer.snapshot().status).toEqual({ state: "unfit", reason: "lost", detail: "device lost" });
    expect(w.engines.length).toBe(3);
    expect(w.coordinator.said("leave")).toEqual([{ reason: "stop" }]);
  });

  it("hands out the farewell of each connection, and does without where there is none", async () => {
    const w = world();
    w.volunteer.start();
    await w.until(() => state(w) === "waiting");
    w.coordinator.cut();
    await w.until(() => w.coordinator.connections === 2 && state(w) === "waiting");
    expect(w.farewells).toEqual(["farewell 1", "farewell 2"]);
    w.coordinator.answers.hello = { ok: true, value: { volunteer: w.volunteer.snapshot().volunteer, open: [] } };
    w.coordinator.cut();
    await w.until(() => w.coordinator.connections === 3 && state(w) === "waiting");
    expect(w.farewells).toHaveLength(2);
  });

  it("says hello again under a new name", async () => {
    const w = world();
    w.volunteer.start();
    await w.until(() => state(w) === "waiting");
    w.volunteer.setName("Ada");
    await w.until(() => w.coordinator.said("hello").length === 2);
    expect((w.coordinator.said("hello")[1] as { name: string }).name).toBe("Ada");
  });
});
