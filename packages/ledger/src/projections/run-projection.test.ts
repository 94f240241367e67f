import { type EventOf, f32ToHex, type LedgerEvent, type LedgerRecord, shortKey } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { ada, bob, coordinator, created, manifest, spec, story } from "../../test/story.ts";
import { canonicalBytes } from "../canonical.ts";
import { sha256 } from "../hash.ts";
import { ledgerOnly } from "./live.ts";
import { createRunProjection } from "./run-projection.ts";

/** Records as a projection needs them; hashing 100,000 of them is the chain's business. */
const recordsOf = (events: readonly LedgerEvent[]): LedgerRecord[] =>
  events.map((event, seq) => ({ seq, atMs: 1_000 + seq, event, hash: seq.toString(16).padStart(64, "0"), signature: null }));
const live = ledgerOnly(manifest, 5_000);
const projectionOf = (events: readonly LedgerEvent[]) => {
  const projection = createRunProjection();
  for (const record of recordsOf(events)) projection.apply(record);
  return projection;
};

describe("a run's projection", () => {
  it("says what the ledger says of the run, its curves, its cloth and its people", () => {
    const records = recordsOf(story(8));
    const detail = projectionOf(story(8)).detail(live);
    expect(detail).toMatchObject({
      run: "digits",
      name: "Digits",
      phase: "running",
      model: "mlp",
      version: 8,
      versions: 100_000,
      settled: 16,
      volunteersNow: 2,
      volunteersEver: 2,
      rejectedByCode: { "not-finite": 1 },
      dataset: { samples: 1_797, license: "CC-BY-4.0" },
      ledger: { seq: records.length - 1, head: records.at(-1)?.hash, coordinator: coordinator.publicKey },
    });
    expect(detail.versionPoints.at(-1)).toMatchObject({ version: 8, lossMean: 0.125, samplesSeen: 128, bytesIn: 2 * 9_640, norm: 0.25 });
    expect(detail.evaluations.map(({ version }) => version)).toEqual([2, 4, 6, 8]);
    expect(detail.spark).toEqual([0.5, 0.5, 0.5, 0.5]);
    expect(detail.cloth.at(-1)).toEqual({ version: 8, shares: [0, 1].map((volunteer) => ({ volunteer, samples: 8 })) });
    expect(detail.volunteers).toMatchObject([
      { volunteer: ada.publicKey, name: "Ada", leasesSettled: 8, samples: 64, expired: 8, rejected: 0, leasesOpen: 0, stalenessMax: 0 },
      { volunteer: bob.publicKey, name: null, leasesSettled: 8, samples: 64, expired: 0, rejected: 1, leasesOpen: 0 },
    ]);
    expect(detail.rejections).toMatchObject([{ code: "not-finite", volunteer: bob.publicKey, lease: "7.1", detail: "NaN at 3" }]);
    expect(detail.checkpoints.map(({ version, samplesSeen, accuracy }) => [version, samplesSeen, accuracy])).toEqual([
      [4, 64, 0.5],
      [8, 128, 0.5],
    ]);
    expect(detail.newestCheckpoint).toEqual(detail.checkpoints[1]);
    expect(detail.specBlob).toEqual({ sha256: sha256(canonicalBytes(spec)), sizeBytes: canonicalBytes(spec).length });
  });

  it("writes its log in sentences", () => {
    const { log } = projectionOf(story(8)).detail(live);
    const texts = log.map(({ text }) => text);
    expect(texts.slice(0, 3)).toEqual([
      "Run digits created with 2,410 parameters",
      "Ada joined with webgpu",
      `${shortKey(bob.publicKey)} joined with webgpu`,
    ]);
    expect(texts).toContain("v2 published from 2 contributions, loss 0.500");
    expect(texts).toContain("v2 evaluated: held-out loss 0.667, accuracy 50.0 %");
    expect(texts).toContain(`Refused ${shortKey(bob.publicKey)} on lease 7.1: not-finite`);
    expect(texts).toContain("Lease 0.1 of Ada expired and can be given again");
    expect(texts.at(-1)).toBe("Checkpoint of v8 written");
  });

  it("is the same whether it is read after every record or only at the end", () => {
    const events = story(40);
    const often = createRunProjection();
    for (const record of recordsOf(events)) {
      often.apply(record);
      often.detail(live);
    }
    expect(often.detail(live)).toEqual(projectionOf(events).detail(live));
    expect(often.summary(live)).toEqual(projectionOf(events).summary(live));
  });

  it("gives lists that later records do not change", () => {
    const projection = createRunProjection();
    const records = recordsOf(story(3));
    for (const record of records.slice(0, -6)) projection.apply(record);
    const before = projection.detail(live);
    const copy = structuredClone(before);
    for (const record of records.slice(-6)) projection.apply(record);
    expect(before).toEqual(copy);
  });

  it("shows the open round's leases as they are waiting, out and in, with live progress over the ledger's word", () => {
    const events = story(1);
    const upTo = (type: LedgerEvent["type"]) => events.slice(0, events.findIndex((event) => event.type === type) + 1);
    const overlay = {
      ...live,
      reason: "Two to go.",
      progress: (lease: string, attempt: number) => (lease === "0.1" && attempt === 1 ? 0.4 : 0),
    };
    const { round, spans } = projectionOf(upTo("contribution-admitted")).detail(overlay);
    expect(round).toMatchObject({ version: 1, phase: "collecting", samplesIn: 8, samplesWanted: 16, reason: "Two to go." });
    expect(round.leases).toMatchObject([
      { lease: "0.0", state: "in", volunteer: ada.publicKey, progress: 1 },
      { lease: "0.1", state: "out", volunteer: ada.publicKey, progress: 0.4, deadlineAtMs: 10_000 },
    ]);
    expect(spans.map(({ end }) => end)).toEqual(["admitted", null]);
    const afterExpiry = projectionOf(upTo("assignment-ended")).detail(overlay);
    expect(afterExpiry.round.leases[1]).toMatchObject({ state: "waiting", volunteer: null, progress: 0 });
    expect(afterExpiry.spans.map(({ end }) => end)).toEqual(["admitted", "expired"]);
    expect(projectionOf(events.slice(0, -1)).detail(overlay).round.phase).toBe("closing");
    expect(projectionOf(events).detail(overlay).round).toMatchObject({ version: 2, phase: "waiting", samplesIn: 0 });
  });

  it("lets the coordinator say who is connected and how fast", () => {
    const overlay = { ...live, presence: new Set([ada.publicKey]), samplesPerSecond: (id: string) => (id === ada.publicKey ? 12 : null) };
    const { volunteers, volunteersNow } = projectionOf(story(1)).detail(overlay);
    expect(volunteersNow).toBe(1);
    expect(volunteers.map(({ present, samplesPerSecond }) => [present, samplesPerSecond])).toEqual([
      [true, 12],
      [false, null],
    ]);
  });

  it("stays bounded over a long run, keeps its first and newest point, and counts exactly", () => {
    const { versionPoints, evaluations, cloth, log, spans, rejections, rejectedByCode, settled, spark } = projectionOf(story(9_000)).detail(
      live,
    );
    expect(versionPoints.length).toBeLessThanOrEqual(2_000);
    expect(versionPoints.length).toBeGreaterThan(900);
    expect([versionPoints[0]?.version, versionPoints.at(-1)?.version]).toEqual([1, 9_000]);
    expect(versionPoints.every((point, index) => index === 0 || point.version > (versionPoints[index - 1]?.version ?? 0))).toBe(true);
    expect(evaluations.length).toBeLessThanOrEqual(2_000);
    expect(cloth.map(({ version }) => version)).toEqual(Array.from({ length: 400 }, (_, index) => 8_601 + index));
    expect([log.length, spans.length, rejections.length, spark.length]).toEqual([200, 400, 200, 40]);
    expect(rejectedByCode).toEqual({ "not-finite": 1_125 });
    expect(settled).toBe(18_000);
  });

  const key = (n: number): string => n.toString(16).padStart(64, "0");
  const stranger = (n: number): LedgerEvent[] => [
    { type: "volunteer-joined", volunteer: key(n), name: null, device: { backend: "cpu", description: "", software: false } },
  ];
  const left = (n: number): LedgerEvent => ({ type: "volunteer-left", volunteer: key(n), reason: "goodbye" });

  it("forgets strangers when they leave, whatever was refused or expired of theirs, and counts what was refused", () => {
    const one = (n: number): LedgerEvent[] => {
      const lease = { lease: "1.0", attempt: n + 1, volunteer: key(n) } as const;
      return [
        ...stranger(n),
        { type: "lease-assigned", ...lease, start: 16, samples: 8, deadlineAtMs: 10_000 },
        { type: "contribution-refused", volunteer: key(n), lease: "1.0", code: "not-finite", detail: "NaN" },
        { type: "assignment-ended", ...lease, reason: "expired" },
        left(n),
        // What comes too late does not bring the key back.
        { type: "contribution-refused", volunteer: key(n), lease: "1.0", code: "lease-expired", detail: "late" },
      ];
    };
    const opened: LedgerEvent = { type: "round-opened", base: 1, start: 16, samples: 16, learningRate: f32ToHex(0.1) };
    const crowd = Array.from({ length: 4_000 }, (_, n) => one(n)).flat();
    const detail = projectionOf([...story(1), opened, ...crowd]).detail(live);
    expect([detail.volunteers.length, detail.volunteersNow, detail.volunteersEver]).toEqual([2, 2, 2]);
    expect(detail.rejectedByCode).toEqual({ "not-finite": 4_000, "lease-expired": 4_000 });
    const { volunteers, volunteersEver } = projectionOf([...story(1), ...stranger(7)]).detail(live);
    expect([volunteers.length, volunteersEver]).toEqual([3, 3]);
  });

  it("keeps whom an admin blocked in the list until the block is lifted", () => {
    const by = "admin";
    const blocked: LedgerEvent[] = [...story(1), ...stranger(7), { type: "volunteer-blocked", volunteer: key(7), by }, left(7)];
    expect(projectionOf(blocked).detail(live).volunteers[2]).toMatchObject({ volunteer: key(7), blocked: true, present: false });
    const lifted: LedgerEvent = { type: "volunteer-unblocked", volunteer: key(7), by };
    expect(projectionOf([...blocked, lifted]).detail(live).volunteers.length).toBe(2);
  });

  it("follows pause, resume, block, stop and finish", () => {
    const by = "admin";
    const phases = (events: LedgerEvent[]) => projectionOf([...story(1), ...events]).summary(live).phase;
    expect(phases([{ type: "run-paused", by }])).toBe("paused");
    expect(
      phases([
        { type: "run-paused", by },
        { type: "run-resumed", by },
      ]),
    ).toBe("running");
    expect(phases([{ type: "run-stopped", by }])).toBe("stopped");
    expect(phases([{ type: "run-finished", version: 1 }])).toBe("finished");
    const blocked = projectionOf([...story(1), { type: "volunteer-blocked", volunteer: bob.publicKey, by }]).detail(live);
    expect(blocked.volunteers.map((volunteer) => volunteer.blocked)).toEqual([false, true]);
  });

  describe("of a run that was rolled back", () => {
    const rolledBack: EventOf<"run-rolled-back"> = {
      type: "run-rolled-back",
      version: 9,
      to: 3,
      by: "ada",
      weights: { sha256: "3".repeat(64), sizeBytes: 9_000 },
      optimizer: null,
      position: 48,
      steps: 3,
      abandoned: [{ lease: "8.0", volunteer: ada.publicKey, sha256: "4".repeat(64), samples: 8 }],
    };
    const undoneOf = (items: readonly { readonly version: number; readonly undone?: true }[]): number[] =>
      items.filter(({ undone }) => undone === true).map(({ version }) => version);

    it("marks what is undone, keeps it, and shows where the weights stand", () => {
      const before = projectionOf(story(8)).detail(live);
      const detail = projectionOf([...story(8), rolledBack]).detail(live);
      expect(detail).toMatchObject({ version: 9, steps: 3, weights: rolledBack.weights, rollBacks: [{ version: 9, to: 3, by: "ada" }] });
      expect(undoneOf(detail.versionPoints)).toEqual([4, 5, 6, 7, 8]);
      expect(undoneOf(detail.cloth)).toEqual([4, 5, 6, 7, 8]);
      expect(undoneOf(detail.evaluations)).toEqual([4, 6, 8]);
      expect(undoneOf(detail.checkpoints)).toEqual([4, 8]);
      expect(detail.newestCheckpoint).toBeNull();
      expect(detail.lossMean).toBe(before.versionPoints[2]?.lossMean);
      expect(detail.heldOutLoss).toBe(before.evaluations[0]?.lossMean);
      expect(detail.spark).toHaveLength(1);
      expect(detail.log.at(-1)?.text).toBe(
        "Rolled back to v3 by ada: v9 has its weights; 1 contribution of the open round will not be counted",
      );
      expect(detail.round).toMatchObject({ version: 10, phase: "waiting", leases: [] });
      expect(before.origin).toBeNull();
    });

    it("takes the marks away where another roll-back goes back to an undone version, and counts samples on from there", () => {
      const again = { ...rolledBack, version: 10, to: 6, position: 96, steps: 6, abandoned: [] };
      const next = { ...story(8).findLast(({ type }) => type === "version-published"), version: 11 } as LedgerEvent;
      const detail = projectionOf([...story(8), rolledBack, again, next]).detail(live);
      expect(undoneOf(detail.versionPoints)).toEqual([7, 8]);
      expect(detail.versionPoints.at(-1)).toMatchObject({ version: 11, samplesSeen: 112 });
      expect(detail).toMatchObject({ version: 11, steps: 7, newestCheckpoint: { version: 4 } });
    });

    it("is paused where it was finished", () => {
      const { phase } = projectionOf([...story(8), { type: "run-finished", version: 8 }, rolledBack]).detail(live);
      expect(phase).toBe("paused");
    });
  });

  it("of a run that goes on from another's version begins with its number, steps and samples", () => {
    const optimizer = { sha256: "5".repeat(64), sizeBytes: 9 };
    const origin = {
      change: "fork",
      run: "older",
      version: 40,
      seq: 300,
      head: "6".repeat(64),
      position: 320,
      steps: 20,
      optimizer,
    } as const;
    const detail = projectionOf([{ ...created, origin } as LedgerEvent]).detail(live);
    expect(detail).toMatchObject({
      version: 40,
      steps: 20,
      origin,
      log: [{ text: expect.stringContaining("forked from v40 of run older") }],
    });
    const first = { ...story(1).findLast(({ type }) => type === "version-published"), version: 41 } as LedgerEvent;
    const after = projectionOf([{ ...created, origin } as LedgerEvent, first]).detail(live);
    expect(after.versionPoints).toMatchObject([{ version: 41, samplesSeen: 336 }]);
  });

  it("refuses to begin with anything but run-created", () => {
    expect(() => projectionOf(story(1).slice(1))).toThrow("run-created");
    expect(() => createRunProjection().summary(live)).toThrow("run-created");
  });
});
