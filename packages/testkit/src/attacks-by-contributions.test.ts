// Everything a volunteer may say wrongly in a contribution, as raw messages on a session: each is refused with its code, counted, changes nothing that
// counts, and the run is trained to its end afterwards by somebody honest. One row, one attack.
import { CHUNK_BYTES, encodeFrame, f32ToHex, MAX_SOCKET_MESSAGE_BYTES } from "@weft/protocol";
import { beforeEach, describe, expect, test } from "vitest";
import { type Attack, expectRefused, expectUnharmed, type Scene, setTheScene } from "./attack-scene.ts";
import { TWO_CHUNK_SPEC } from "./fixtures.ts";
import { type ScriptedVolunteer, unwrap } from "./scripted-volunteer.ts";
import { trainToTheEnd } from "./train.ts";

let scene: Scene;

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
      "values that are finite and absurd",
      "norm-outlier",
      ({ eve, lease }) => {
        const values = new Uint8Array(lease.weights.sizeBytes);
        new DataView(values.buffer).setFloat32(8, 1e38, true);
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
