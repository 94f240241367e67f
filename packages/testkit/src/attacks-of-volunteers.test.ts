// Everything a volunteer may say wrongly, as raw messages on a session: each is refused with its code, counted, changes nothing that
// counts, and the run is trained to its end afterwards by somebody honest. One row, one attack.
import { recompute } from "@weft/coordinator";
import { verifyChain } from "@weft/ledger";
import { type Assignment, CHUNK_BYTES, type ErrorCode, encodeFrame, f32ToHex, MAX_SOCKET_MESSAGE_BYTES, type Result } from "@weft/protocol";
import { beforeEach, describe, expect, test } from "vitest";
import { TINY_SPEC, TWO_CHUNK_SPEC } from "./fixtures.ts";
import { ScriptedVolunteer, unwrap } from "./scripted-volunteer.ts";
import { TestCoordinator } from "./test-coordinator.ts";
import { trainToTheEnd } from "./train.ts";

interface Scene {
  readonly kit: TestCoordinator;
  readonly run: string;
  /** Connected, has said hello, holds `lease`. */
  readonly eve: ScriptedVolunteer;
  readonly lease: Assignment;
  /** Holds another lease. */
  readonly honest: ScriptedVolunteer;
  readonly honestLease: Assignment;
}

async function setTheScene(spec = TINY_SPEC): Promise<Scene> {
  const kit = await TestCoordinator.start({ origins: (origin) => origin === "http://localhost:8787" });
  const run = await kit.createRun({ ...spec, training: { ...spec.training, versions: 2 } });
  const honest = new ScriptedVolunteer(1);
  const eve = new ScriptedVolunteer(666, "198.51.100.6");
  await honest.join(kit.coordinator);
  await eve.join(kit.coordinator);
  const honestLease = await honest.lease(null, 2);
  const lease = await eve.lease(null, 2);
  return { kit, run, eve, lease, honest, honestLease };
}

/** The run ends, its ledger verifies, its weights recompute, and nothing of an upload is left in the spool. */
async function expectUnharmed({ kit, run, honest, honestLease, eve }: Scene): Promise<void> {
  eve.disconnect();
  await honest.contribute(honestLease);
  await trainToTheEnd(kit, [honest]);
  expect(kit.coordinator.detail(run)).toMatchObject({ phase: "finished", version: 2 });
  const records = await kit.records(run);
  expect(await verifyChain(run, records, kit.identity.publicKey)).toMatchObject({ ok: true });
  expect((await recompute(kit.storage, records)).ok).toBe(true);
  const settledBy = records.flatMap(({ event }) => (event.type === "contribution-admitted" ? [event.header.lease] : []));
  expect(new Set(settledBy).size).toBe(settledBy.length);
  await kit.clock.advance(11 * 60_000);
  await kit.pass(500);
  expect(kit.spool.names()).toEqual([]);
  expect(kit.coordinator.counters()["internal-errors"]).toBeUndefined();
}

type Attack = readonly [name: string, code: ErrorCode, act: (scene: Scene) => Promise<Result<unknown>>];

async function expectRefused(scene: Scene, [, code, act]: Attack): Promise<void> {
  const counter = `refused.${code}`;
  const before = scene.kit.coordinator.counters()[counter] ?? 0;
  const reply = await act(scene);
  expect(reply).toMatchObject({ ok: false, code });
  if (!reply.ok) expect(reply.message.length).toBeGreaterThan(5);
  expect(scene.kit.coordinator.counters()[counter]).toBe(before + 1);
}

let scene: Scene;

const GARBAGE: readonly (readonly [string, unknown])[] = [
  ["undefined", undefined],
  ["null", null],
  ["a number", 7],
  ["a string of 2 MB", "x".repeat(2_000_000)],
  ["an array", []],
  ["an empty object", {}],
  ["bytes", new Uint8Array(10)],
  ["an object of 10,000 fields", Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`f${index}`, index]))],
  [
    "an object whose getter throws",
    Object.defineProperty({}, "run", {
      enumerable: true,
      get: () => {
        throw new Error("trap");
      },
    }),
  ],
  ["a deep object", JSON.parse(`${'{"run":'.repeat(2_000)}1${"}".repeat(2_000)}`)],
];

describe("malformed messages", () => {
  beforeEach(async () => {
    scene = await setTheScene();
  });
  for (const event of ["lease", "contribution", "chunk", "release", "progress", "leave"])
    test(`garbage as ${event} is a bad message, whatever it is`, async () => {
      for (const [, garbage] of GARBAGE) {
        const reply = await scene.eve.say(event, garbage);
        expect(reply.ok).toBe(false);
        // A getter that throws cannot arrive over a socket; it must still not get through.
        if (!reply.ok) expect(["bad-message", "too-large", "internal"]).toContain(reply.code);
      }
      expect(scene.kit.coordinator.counters()["refused.bad-message"]).toBeGreaterThan(5);
    });

  test("garbage as hello is a bad message, and a true hello is still heard afterwards", async () => {
    const eve = new ScriptedVolunteer(667).connect(scene.kit.coordinator);
    for (const [name, garbage] of GARBAGE)
      if (name !== "an object whose getter throws")
        expect(await eve.say("hello", garbage)).toMatchObject({ ok: false, code: "bad-message" });
    expect((await eve.hello()).ok).toBe(true);
    await expectUnharmed(scene);
  });

  const strange: Attack[] = [
    ["an unknown event", "bad-message", ({ eve }) => eve.say("drop-tables", {})],
    ["an event named as a method of objects", "bad-message", ({ eve }) => eve.say("constructor", {})],
    ["a field too many", "bad-message", ({ eve }) => eve.say("lease", { run: null, samplesPerSecond: null, admin: true })],
    ["a speed of minus one", "bad-message", ({ eve }) => eve.say("lease", { run: null, samplesPerSecond: -1 })],
    ["a speed that is not a number", "bad-message", ({ eve }) => eve.say("lease", { run: null, samplesPerSecond: Number.NaN })],
    ["a run id that is a path", "bad-message", ({ eve }) => eve.say("lease", { run: "../../etc", samplesPerSecond: null })],
    ["a lease id that is a path", "bad-message", ({ eve, run }) => eve.say("release", { run, lease: "../1", attempt: 1 })],
    ["an attempt of a half", "bad-message", ({ eve, run, lease }) => eve.say("release", { run, lease: lease.lease, attempt: 0.5 })],
    ["a leave for no known reason", "bad-message", ({ eve }) => eve.say("leave", { reason: "bored" })],
  ];
  for (const attack of strange)
    test(`${attack[0]} is refused as ${attack[1]}`, async () => {
      await expectRefused(scene, attack);
      await expectUnharmed(scene);
    });
});

describe("hello", () => {
  beforeEach(async () => {
    scene = await setTheScene();
  });
  const fresh = ({ kit }: Scene, seed = 700): ScriptedVolunteer => new ScriptedVolunteer(seed).connect(kit.coordinator);
  const hellos: Attack[] = [
    ["an older protocol, in a shape of its own", "protocol-version", (s) => fresh(s).say("hello", { protocol: 0, key: "old" })],
    ["a newer protocol", "protocol-version", (s) => fresh(s).hello({ protocol: 2 })],
    ["the nonce of another connection", "bad-nonce", (s) => fresh(s).hello({ nonce: s.eve.challenges[0]?.nonce })],
    ["a second hello", "bad-nonce", ({ eve }) => eve.hello()],
    ["an origin that is not served", "bad-origin", (s) => fresh(s).hello({ origin: "https://evil.example" })],
    [
      "another origin than the handshake's",
      "bad-origin",
      ({ kit }) => new ScriptedVolunteer(701).connect(kit.coordinator, "https://evil.example").hello(),
    ],
    ["a failed self-test", "self-test-failed", (s) => fresh(s).hello({ selfTest: { passed: false, relativeError: 3, detail: "zeros" } })],
    [
      "a self-test that is not a number",
      "bad-message",
      (s) => fresh(s).hello({ selfTest: { passed: true, relativeError: Number.NaN, detail: "" } }),
    ],
    [
      "somebody else's key",
      "bad-signature",
      (s) => {
        const thief = fresh(s);
        return thief.say("hello", thief.helloMessage({}, { volunteer: s.honest.key }));
      },
    ],
    [
      "a signature over another nonce",
      "bad-signature",
      (s) => {
        const eve = fresh(s);
        const { signature } = eve.helloMessage({ nonce: "0".repeat(32) });
        return eve.say("hello", eve.helloMessage({}, { signature }));
      },
    ],
    [
      "a signature of zeros",
      "bad-signature",
      (s) => {
        const eve = fresh(s);
        return eve.say("hello", eve.helloMessage({}, { signature: "0".repeat(128) }));
      },
    ],
    [
      "a key of small order",
      "bad-signature",
      (s) => {
        const eve = fresh(s);
        return eve.say("hello", eve.helloMessage({ volunteer: `01${"0".repeat(62)}` }, { signature: `01${"0".repeat(126)}` }));
      },
    ],
    ["a name with a bidirectional override", "bad-name", (s) => fresh(s).hello({ name: "evil\u202Egnp" })],
    ["a name of 33 characters", "bad-name", (s) => fresh(s).hello({ name: "n".repeat(33) })],
    ["an empty name", "bad-name", (s) => fresh(s).hello({ name: "" })],
    [
      "a device description of 121 characters",
      "bad-message",
      (s) => fresh(s).hello({ device: { backend: "cpu", description: "d".repeat(121), software: false } }),
    ],
    ["a lease before any hello", "hello-first", (s) => fresh(s).requestLease()],
    [
      "a blocked key",
      "blocked",
      async (s) => {
        const eve = new ScriptedVolunteer(702);
        await eve.join(s.kit.coordinator);
        unwrap(await s.kit.coordinator.command({ type: "block-volunteer", volunteer: eve.key }, "admin"));
        expect(eve.closed).toBe(1);
        return eve.connect(s.kit.coordinator).hello();
      },
    ],
  ];
  for (const attack of hellos)
    test(`${attack[0]} is refused as ${attack[1]}`, async () => {
      await expectRefused(scene, attack);
      await expectUnharmed(scene);
    });

  test("a nonce is good once: a hello that was refused cannot be mended on the same nonce", async () => {
    const eve = new ScriptedVolunteer(703).connect(scene.kit.coordinator);
    const [good, bad] = [eve.helloMessage(), eve.helloMessage({}, { signature: "0".repeat(128) })];
    expect(await eve.say("hello", bad)).toMatchObject({ ok: false, code: "bad-signature" });
    expect(await eve.say("hello", good)).toMatchObject({ ok: false, code: "bad-nonce" });
    expect((await eve.hello()).ok).toBe(true);
  });

  test("a hello that was overheard does not open another connection", async () => {
    const victim = new ScriptedVolunteer(704).connect(scene.kit.coordinator);
    const overheard = victim.helloMessage();
    expect((await victim.say("hello", overheard)).ok).toBe(true);
    const thief = new ScriptedVolunteer(705).connect(scene.kit.coordinator);
    expect(await thief.say("hello", overheard)).toMatchObject({ ok: false, code: "bad-nonce" });
  });
});

describe("leases that are another's, unknown or over", () => {
  beforeEach(async () => {
    scene = await setTheScene();
  });
  const ref = ({ run, lease, attempt }: Assignment) => ({ run, lease, attempt });
  const attacks: Attack[] = [
    ["to give back another's lease", "not-your-lease", ({ eve, honestLease }) => eve.say("release", ref(honestLease))],
    ["to give back a lease that never was", "unknown-lease", ({ eve, lease }) => eve.say("release", { ...ref(lease), lease: "0.99" })],
    ["to give back an attempt that never was", "unknown-lease", ({ eve, lease }) => eve.say("release", { ...ref(lease), attempt: 9 })],
    ["to give back a lease of another run", "unknown-run", ({ eve, lease }) => eve.say("release", { ...ref(lease), run: "elsewhere" })],
    [
      "to give back twice",
      "lease-expired",
      async ({ eve, lease }) => {
        unwrap(await eve.say("release", ref(lease)));
        return eve.say("release", ref(lease));
      },
    ],
    [
      "progress on another's lease",
      "not-your-lease",
      ({ eve, honestLease }) => eve.say("progress", { ...ref(honestLease), done: 1, of: 2 }),
    ],
    ["progress beyond the end", "bad-message", ({ eve, lease }) => eve.say("progress", { ...ref(lease), done: 3, of: 2 })],
    ["progress of nothing", "bad-message", ({ eve, lease }) => eve.say("progress", { ...ref(lease), done: 0, of: 0 })],
    [
      "a third lease at once",
      "too-many-assignments",
      async ({ eve }) => {
        await eve.requestLease(null, 2);
        return eve.requestLease(null, 2);
      },
    ],
  ];
  for (const attack of attacks)
    test(`${attack[0]} is refused as ${attack[1]}`, async () => {
      await expectRefused(scene, attack);
      await expectUnharmed(scene);
    });
});

describe("headers of contributions", () => {
  beforeEach(async () => {
    scene = await setTheScene();
  });
  const open =
    (lies: Parameters<ScriptedVolunteer["contribution"]>[1]) =>
    ({ eve, lease }: Scene) =>
      eve.open(eve.contribution(lease, lies));
  const attacks: Attack[] = [
    ["another's name in the header", "not-your-lease", (s) => s.eve.open(s.eve.contribution(s.lease, { volunteer: s.honest.key }))],
    ["another's lease", "not-your-lease", ({ eve, honestLease }) => eve.open(eve.contribution(honestLease))],
    [
      "another's header, signed by that other",
      "not-your-lease",
      ({ eve, honest, honestLease }) => eve.open(honest.contribution(honestLease)),
    ],
    [
      "a header changed after signing",
      "bad-signature",
      ({ eve, lease }) => {
        const { header, signature } = eve.contribution(lease);
        return eve.say("contribution", { header: { ...header, lossMean: f32ToHex(0) }, signature });
      },
    ],
    ["a run that is not here", "unknown-run", open({ run: "elsewhere" })],
    ["a lease that never was", "unknown-lease", open({ lease: "0.77" })],
    ["a lease of a version to come", "unknown-lease", open({ lease: "1.0" })],
    ["an attempt that never was", "not-your-lease", open({ attempt: 5 })],
    ["other weights as base", "stale", open({ base: "f".repeat(64) })],
    ["another codec", "wrong-codec", open({ codec: "int8" })],
    ["more samples than the lease", "wrong-sample-count", open({ samples: 1_000_000 })],
    ["one byte more", "wrong-length", open({ sizeBytes: 93 })],
    ["400 MB", "wrong-length", open({ sizeBytes: 400_001_024 })],
    ["a loss that is not a number", "not-finite", open({ lossMean: "7fc00000" })],
    ["more than any contribution may have", "bad-message", open({ sizeBytes: 400_001_025 })],
    ["a negative time", "bad-message", open({ computeMs: -1 })],
  ];
  for (const attack of attacks)
    test(`${attack[0]} is refused as ${attack[1]}`, async () => {
      await expectRefused(scene, attack);
      await expectUnharmed(scene);
    });

  test("a fault of the header ends the assignment, so that somebody else gets the lease, and it stands in the ledger", async () => {
    const { kit, run, eve, lease } = scene;
    await eve.open(eve.contribution(lease, { codec: "f16" }));
    const records = await kit.records(run);
    expect(
      records.some(({ event }) => event.type === "assignment-ended" && event.volunteer === eve.key && event.reason === "refused"),
    ).toBe(true);
    expect(records.some(({ event }) => event.type === "contribution-refused" && event.code === "wrong-codec")).toBe(true);
    // Said a thousand times it fills no ledger: only who holds the lease is written down.
    for (let time = 0; time < 50; time += 1) await eve.open(eve.contribution(lease, { codec: "f16" }));
    expect((await kit.records(run)).filter(({ event }) => event.type === "contribution-refused")).toHaveLength(1);
    await expectUnharmed(scene);
  });
});

describe("bytes of contributions", () => {
  beforeEach(async () => {
    scene = await setTheScene(TWO_CHUNK_SPEC);
  });
  const attacks: Attack[] = [
    ["a chunk that nobody opened", "unknown-upload", ({ eve, lease }) => eve.chunk(eve.contribution(lease), 0)],
    [
      "a chunk of another's upload",
      "not-your-lease",
      async ({ eve, honest, honestLease }) => {
        const contribution = honest.contribution(honestLease);
        unwrap(await honest.open(contribution));
        return eve.chunk(contribution, 0);
      },
    ],
    ["a chunk of a run that is not here", "unknown-run", ({ eve, lease }) => eve.chunk(eve.contribution(lease), 0, { run: "elsewhere" })],
    [
      "the second chunk first",
      "bad-chunk",
      async ({ eve, lease }) => {
        const contribution = eve.contribution(lease);
        unwrap(await eve.open(contribution));
        return eve.chunk(contribution, 1);
      },
    ],
    [
      "the first chunk twice",
      "bad-chunk",
      async ({ eve, lease }) => {
        const contribution = eve.contribution(lease);
        unwrap(await eve.open(contribution));
        unwrap(await eve.chunk(contribution, 0));
        return eve.chunk(contribution, 0);
      },
    ],
    [
      "a short chunk",
      "wrong-length",
      async ({ eve, lease, run }) => {
        unwrap(await eve.open(eve.contribution(lease)));
        return eve.say(
          "chunk",
          encodeFrame({ run, lease: lease.lease, attempt: lease.attempt, index: 0 }, new Uint8Array(CHUNK_BYTES - 1)),
        );
      },
    ],
    [
      "an oversized chunk",
      "wrong-length",
      async ({ eve, lease, run }) => {
        unwrap(await eve.open(eve.contribution(lease)));
        return eve.say(
          "chunk",
          encodeFrame({ run, lease: lease.lease, attempt: lease.attempt, index: 0 }, new Uint8Array(CHUNK_BYTES + 1)),
        );
      },
    ],
    ["a message larger than any may be", "too-large", ({ eve }) => eve.say("chunk", new Uint8Array(MAX_SOCKET_MESSAGE_BYTES + 1))],
    ["a frame whose header is longer than the frame", "bad-message", ({ eve }) => eve.say("chunk", Uint8Array.of(255, 255, 0, 0, 1))],
    ["a frame whose header is no JSON", "bad-message", ({ eve }) => eve.say("chunk", Uint8Array.of(1, 0, 0, 0, 123))],
    ["other bytes than were signed for", "wrong-hash", ({ eve, lease }) => eve.upload(eve.contribution(lease, { sha256: "a".repeat(64) }))],
    [
      "values that are not numbers",
      "not-finite",
      ({ eve, lease }) => {
        const values = new Uint8Array(lease.weights.sizeBytes);
        new DataView(values.buffer).setFloat32(8, Number.NaN, true);
        return eve.upload(eve.contributionOf(lease, values));
      },
    ],
    [
      "infinite values",
      "not-finite",
      ({ eve, lease }) => {
        const values = new Uint8Array(lease.weights.sizeBytes);
        new DataView(values.buffer).setFloat32(lease.weights.sizeBytes - 4, Number.POSITIVE_INFINITY, true);
        return eve.upload(eve.contributionOf(lease, values));
      },
    ],
    [
      "another update for a settled lease",
      "lease-settled",
      async ({ eve, lease }) => {
        unwrap(await eve.contribute(lease));
        const other = new Float32Array(lease.weights.sizeBytes / 4).fill(0.5);
        return eve.upload(eve.contribution(lease, {}, other));
      },
    ],
  ];
  for (const attack of attacks)
    test(`${attack[0]} is refused as ${attack[1]}`, async () => {
      await expectRefused(scene, attack);
      await expectUnharmed(scene);
    });

  test("a wrong hash is forgiven: the same lease may be answered again, and then counts once", async () => {
    const { eve, lease, kit, run } = scene;
    expect(await eve.upload(eve.contribution(lease, { sha256: "a".repeat(64) }))).toMatchObject({ ok: false, code: "wrong-hash" });
    expect(unwrap(await eve.contribute(lease)).kind).toBe("admitted");
    expect(
      (await kit.records(run)).filter(({ event }) => event.type === "contribution-admitted" && event.header.volunteer === eve.key),
    ).toHaveLength(1);
    await expectUnharmed(scene);
  });

  test("an answer to a version that is past is stale, however honest", async () => {
    const { kit, eve, lease, honest, honestLease } = scene;
    const late = eve.contribution(lease);
    eve.disconnect();
    await honest.contribute(honestLease);
    await kit.pass(4_000);
    await trainToTheEnd(kit, [honest]);
    await eve.join(kit.coordinator);
    expect(await eve.upload(late)).toMatchObject({ ok: false, code: "stale" });
    expect(kit.coordinator.counters()["refused.stale"]).toBe(1);
  });

  test("an admitted contribution that is sent again, whole or in part, hears the same verdict and counts once", async () => {
    const { kit, run, eve, lease } = scene;
    const contribution = eve.contribution(lease);
    const verdict = await eve.upload(contribution);
    expect(verdict).toEqual({ ok: true, value: { kind: "admitted", version: 1 } });
    expect(await eve.chunk(contribution, 1)).toEqual(verdict);
    expect(unwrap(await eve.open(contribution))).toEqual({ nextChunk: 1 });
    expect(await eve.upload(contribution)).toEqual(verdict);
    await eve.join(kit.coordinator);
    expect(await eve.upload(contribution)).toEqual(verdict);
    expect((await kit.records(run)).filter(({ event }) => event.type === "contribution-admitted")).toHaveLength(1);
    expect(kit.coordinator.counters()["contributions.admitted"]).toBe(1);
    await expectUnharmed(scene);
  });

  test("chunks that come all at once are put in order; an upload goes on where it was after a reconnect", async () => {
    const { kit, eve, lease, honest, honestLease } = scene;
    const whole = eve.contribution(lease);
    unwrap(await eve.open(whole));
    const replies = await Promise.all([eve.chunk(whole, 0), eve.chunk(whole, 1)]);
    expect(replies.map((reply) => unwrap(reply).kind)).toEqual(["received", "admitted"]);

    const half = honest.contribution(honestLease);
    unwrap(await honest.open(half));
    unwrap(await honest.chunk(half, 0));
    honest.disconnect();
    await honest.join(kit.coordinator);
    expect(unwrap(await honest.open(half))).toEqual({ nextChunk: 1 });
    expect(unwrap(await honest.chunk(half, 1)).kind).toBe("admitted");
    await expectUnharmed(scene);
  });
});
