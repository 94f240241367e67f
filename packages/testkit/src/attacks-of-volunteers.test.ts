// Everything a volunteer may say wrongly, as raw messages on a session: each is refused with its code, counted, changes nothing that
// counts, and the run is trained to its end afterwards by somebody honest. One row, one attack.
import type { Assignment } from "@weft/protocol";
import { beforeEach, describe, expect, test } from "vitest";
import { type Attack, expectRefused, expectUnharmed, type Scene, setTheScene } from "./attack-scene.ts";
import { ScriptedVolunteer, unwrap } from "./scripted-volunteer.ts";

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
    ...Object.entries({ "ten thousand years": 3.2e14, "less than none": -1, "half a millisecond": 0.5, "no number": Number.NaN }).map(
      ([what, computing]): Attack => [
        `${what} of time spent`,
        "bad-message",
        ({ eve, lease }) => {
          const spentMs = { computing, downloading: 0, uploading: 0, waiting: 0 };
          return eve.say("progress", { ...ref(lease), done: 1, of: 2, spentMs });
        },
      ],
    ),
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
