// The direction coordinator -> volunteer from the raw wire: whatever arrives, the volunteer neither crashes nor spins; it says what
// is wrong, waits, and works again once the coordinator is sound.
import { ERROR_CODES, type ErrorCode } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { type World, world } from "../test/fixture.ts";

const HUGE = "x".repeat(1_000_000);
const DEEP = JSON.parse(`${"[".repeat(5_000)}${"]".repeat(5_000)}`) as unknown;
/** What no schema takes, for every event. */
const JUNK: Record<string, unknown> = {
  nothing: undefined,
  null: null,
  "a number": 7,
  NaN: Number.NaN,
  "an empty object": {},
  "a list": [],
  bytes: new Uint8Array(100_000),
  "a huge text": HUGE,
  "a deep list": DEEP,
  "ok without a value": { ok: true },
  "ok with a null value": { ok: true, value: null },
  "ok with a wrong value": { ok: true, value: { kind: "lease", assignment: { run: "../x" }, nextChunk: -1, open: "all" } },
  "a refusal without a code": { ok: false },
  "a refusal of an unknown code": { ok: false, code: "sorry", message: "Not today." },
  "a refusal with NaN to wait": { ok: false, code: "no-work", message: "Not today.", retryAfterMs: Number.NaN },
  "a refusal with a prototype's name as code": { ok: false, code: "constructor", message: "Not today." },
  "a refusal with a huge message": { ok: false, code: "no-work", message: HUGE },
};

/** Messages of one event in a minute: bounded, whatever comes back. */
const MOST_A_MINUTE = 60;

async function heals(w: World, event: string): Promise<void> {
  await w.clock.advance(60_000);
  expect(w.coordinator.said(event).length).toBeLessThanOrEqual(MOST_A_MINUTE);
  expect(w.volunteer.snapshot().admitted).toBe(0);
  delete w.coordinator.answers[event];
  w.coordinator.leases = [w.lease("5.0"), w.lease("5.1")];
  await w.clock.advance(120_000);
  expect(w.coordinator.admitted.length).toBeGreaterThan(0);
}

describe.each(["hello", "lease", "contribution", "chunk"])("an answer to %s that cannot be read", (event) => {
  it.each(Object.entries(JUNK))("%s", async (_what, junk) => {
    const w = world();
    w.coordinator.leases = Array.from({ length: 100 }, (_, index) => w.lease(`0.${index}`));
    w.coordinator.answers[event] = () => junk;
    w.volunteer.start();
    await heals(w, event);
  });
});

describe("a notice that cannot be read", () => {
  it.each(Object.entries(JUNK))("challenge, work, revoke: %s", async (_what, junk) => {
    const w = world();
    w.coordinator.challenge = junk;
    w.volunteer.start();
    await w.clock.advance(30_000);
    expect(w.coordinator.connections).toBeLessThan(20);
    expect(w.volunteer.snapshot()).toMatchObject({ status: { state: "offline" }, lastRefusal: { code: "bad-message" } });
    w.coordinator.challenge = { nonce: "n", coordinator: "cd".repeat(32), protocol: 1 };
    await w.clock.advance(20_000);
    for (const event of ["work", "revoke", "nonsense"]) w.coordinator.handlers?.notice(event, junk);
    w.coordinator.leases = [w.lease("0.0")];
    await w.clock.advance(20_000);
    expect(w.coordinator.admitted.length).toBe(1);
  });

  it("a challenge of another protocol version asks for a reload", async () => {
    const w = world();
    w.coordinator.challenge = { nonce: "n", coordinator: "cd".repeat(32), protocol: 2 };
    w.volunteer.start();
    await w.clock.advance(60_000);
    expect(w.volunteer.snapshot().status).toMatchObject({ state: "refused", code: "protocol-version" });
    expect(w.coordinator.connections).toBe(1);
  });

  it("a flood of notices is not answered by a flood of requests", async () => {
    const w = world();
    w.volunteer.start();
    await w.clock.advance(1_000);
    for (let index = 0; index < 10_000; index++) w.coordinator.handlers?.notice("work", { run: "tiny", version: index });
    await w.clock.advance(100);
    expect(w.coordinator.said("lease").length).toBeLessThan(10);
  });
});

describe("an assignment that cannot be done", () => {
  const cases: Record<string, (w: World) => unknown> = {
    "weights under a wrong hash": (w) => {
      const lease = w.lease("0.0");
      w.blobs.bytes.set(lease.weights.sha256, new Uint8Array(24).fill(1));
      return lease;
    },
    "weights cut short": (w) => {
      const lease = w.lease("0.0");
      w.blobs.bytes.set(lease.weights.sha256, new Uint8Array(20));
      return lease;
    },
    "weights longer than announced": (w) => {
      const lease = w.lease("0.0");
      w.blobs.bytes.set(lease.weights.sha256, new Uint8Array(4_000_000));
      return lease;
    },
    "weights that are no f32 values": (w) => w.lease("0.0", { weights: w.blobs.put(new Uint8Array(23)) }),
    "weights of a gigabyte": (w) => w.lease("0.0", { weights: { sha256: "00".repeat(32), sizeBytes: 1e9 } }),
    "weights that do not exist": (w) => w.lease("0.0", { weights: { sha256: "00".repeat(32), sizeBytes: 24 } }),
    "a specification that is no JSON": (w) => w.lease("0.0", { spec: w.blobs.put(new Uint8Array([123])) }),
    "a specification of another kind": (w) => w.lease("0.0", { spec: w.blobs.put(new TextEncoder().encode('{"format":"weft-run/9"}')) }),
    "a specification of a megabyte": (w) => w.lease("0.0", { spec: w.blobs.put(new Uint8Array(1_000_000)) }),
    "a manifest that is no manifest": (w) => w.lease("0.0", { dataset: w.blobs.put(new TextEncoder().encode("[]")) }),
    "another codec than the run's": (w) => w.lease("0.0", { codec: "int8" }),
    "a billion samples": (w) => w.lease("0.0", { samples: 1e9 }),
    "no samples": (w) => w.lease("0.0", { samples: 0 }),
    "NaN samples": (w) => w.lease("0.0", { samples: Number.NaN }),
    "no time": (w) => w.lease("0.0", { remainingMs: 0 }),
    "endless time": (w) => w.lease("0.0", { remainingMs: Number.POSITIVE_INFINITY }),
    "a lease id with a path": (w) => w.lease("0.0", { lease: "../../etc" }),
  };
  it.each(Object.entries(cases))("%s: said, given back, and the next one done", async (_what, make) => {
    const w = world();
    const assignment = make(w);
    w.coordinator.answers.lease = () => ({ ok: true, value: { kind: "lease", assignment } });
    w.volunteer.start();
    await w.clock.advance(60_000);
    expect(w.volunteer.snapshot().admitted).toBe(0);
    expect(w.coordinator.said("lease").length).toBeLessThanOrEqual(MOST_A_MINUTE);
    expect(w.coordinator.said("release").length).toBeLessThanOrEqual(MOST_A_MINUTE);
    expect(w.volunteer.snapshot().status.state).not.toBe("working");
    delete w.coordinator.answers.lease;
    w.coordinator.leases = [w.lease("5.0"), w.lease("5.1")];
    await w.clock.advance(120_000);
    expect(w.coordinator.admitted.map(({ lease }) => lease)).toContain("5.0");
  });

  it("a welcome with a thousand open assignments is not believed", async () => {
    const w = world();
    w.coordinator.open = Array.from({ length: 1_000 }, (_, index) => w.lease(`0.${index}`));
    w.volunteer.start();
    await w.clock.advance(10_000);
    expect(w.coordinator.said("release")).toEqual([]);
    expect(w.volunteer.snapshot().status.state).toBe("offline");
  });
});

describe("every code does what its advice says", () => {
  const codes = Object.keys(ERROR_CODES) as ErrorCode[];
  it.each(codes)("hello refused with %s", async (code) => {
    const w = world();
    w.coordinator.answers.hello = { ok: false, code, message: "So it is." };
    w.volunteer.start();
    await w.clock.advance(30_000);
    const { advice } = ERROR_CODES[code];
    const lasting = advice === "stop" || advice === "reload" || advice === "sign-in" || advice === "fix";
    if (lasting) expect(w.volunteer.snapshot().status).toEqual({ state: "refused", code, message: "So it is." });
    else expect(w.volunteer.snapshot().status.state).toBe("offline");
    expect(w.coordinator.connections).toBeGreaterThanOrEqual(lasting ? 1 : 3);
    expect(w.coordinator.connections).toBeLessThanOrEqual(lasting ? 1 : 12);
  });

  it.each(codes)("a chunk refused with %s", async (code) => {
    const w = world();
    w.coordinator.leases = [w.lease("0.0"), w.lease("0.1")];
    let refusals = 0;
    w.coordinator.answers.chunk = (frame: Uint8Array) => {
      if (refusals++ === 0) return { ok: false, code, message: "So it is.", retryAfterMs: 50 };
      return w.coordinator.receive(frame);
    };
    w.volunteer.start();
    await w.clock.advance(30_000);
    const admitted = w.coordinator.admitted.map(({ lease }) => lease).sort();
    switch (ERROR_CODES[code].advice) {
      case "stop":
      case "reload":
      case "sign-in":
        expect(w.volunteer.snapshot().status).toMatchObject({ state: "refused", code });
        expect(admitted).toEqual([]);
        return;
      case "retry":
      case "resend":
        expect(admitted).toEqual(["0.0", "0.1"]);
        return;
      case "next-lease":
      case "fix":
        expect(admitted).toEqual(["0.1"]);
        expect(w.volunteer.snapshot()).toMatchObject({ refused: 1, lastRefusal: { code } });
        return;
    }
  });

  it.each(codes)("a lease request refused with %s", async (code) => {
    const w = world();
    let refusals = 0;
    w.coordinator.leases = [w.lease("0.0")];
    w.coordinator.answers.lease = () =>
      refusals++ === 0 ? { ok: false, code, message: "So it is." } : w.coordinator.honest("lease", null);
    w.volunteer.start();
    await w.clock.advance(30_000);
    const { advice } = ERROR_CODES[code];
    if (advice === "stop" || advice === "reload" || advice === "sign-in")
      expect(w.volunteer.snapshot().status).toMatchObject({ state: "refused", code });
    else expect(w.coordinator.admitted.length).toBe(1);
  });
});
