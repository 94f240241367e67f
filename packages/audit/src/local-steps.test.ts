// A run of local steps under audit: what is proved of it, and what a coordinator that cheats cannot hide.
import { type EventOf, f32ToHex, type LedgerEvent, type RunSpecOf } from "@weft/protocol";
import type { ScriptedVolunteer } from "@weft/testkit";
import { beforeAll, describe, expect, it } from "vitest";
import { AUDITED_SPEC, type AuditedRun, FAST, forged, startAudited, withRecords } from "../test/audited-run.ts";
import { replay } from "./replay.ts";
import { type Verification, verify } from "./verify.ts";

const sgd = { kind: "sgd", learningRate: 1, momentum: 0, weightDecay: 0 } as const;
const TRAINING: RunSpecOf<"local-steps">["training"] = {
  mode: "local-steps",
  versions: 12,
  batch: 7,
  microBatch: 7,
  work: { kind: "steps", steps: 1 },
  inner: { optimizer: { ...sgd, learningRate: 0.1 }, schedule: { kind: "constant", warmupVersions: 0 }, keepState: false },
  rounds: { kind: "async", buffer: 2 },
  rule: { kind: "mean" },
  optimizer: sgd,
  codec: "auto",
};
const SPEC = { ...AUDITED_SPEC, training: TRAINING, round: { leaseMs: 1_000, deadlineMs: 30_000, maxStaleness: 3 } };

/** One volunteer answers late, so that some contributions are stale; one never answers, so that a range stays uncounted, the last one for ever. */
const trained = (retention: "all" | { readonly versions: number } = "all"): Promise<AuditedRun> =>
  startAudited({ ...SPEC, retention: { contributions: retention } }, 3, async (kit, people) => {
    const [quick, slow, gone] = people as [ScriptedVolunteer, ScriptedVolunteer, ScriptedVolunteer];
    await gone.lease();
    let held = await slow.lease();
    let isHeldToTheEnd = false;
    for (let turn = 0; turn < 200; turn += 1) {
      const reply = await quick.requestLease();
      if (reply.ok && reply.value.kind === "lease") await quick.contribute(reply.value.assignment);
      if (!isHeldToTheEnd && kit.coordinator.runs()[0]?.version === 11) isHeldToTheEnd = (await gone.requestLease()).ok;
      if (turn % 3 === 2) {
        await slow.contribute(held);
        const next = await slow.requestLease();
        if (next.ok && next.value.kind === "lease") held = next.value.assignment;
      }
      await kit.pass(500);
      if (kit.coordinator.runs()[0]?.phase === "finished") return;
    }
    throw new Error("the run does not end");
  });

let run: AuditedRun;
beforeAll(async () => {
  run = await trained();
}, 60_000);
const audit = (source: AuditedRun["source"]): Promise<Verification> =>
  verify({ ...source, data: "left-out" }, { ...FAST, key: run.kit.identity.publicKey });
const published = (events: readonly LedgerEvent[]): EventOf<"version-published">[] =>
  events.filter((event): event is EventOf<"version-published"> => event.type === "version-published");

describe("a run of local steps", () => {
  it("is proved and recomputed from its ledger, stale contributions and positions that wait included", async () => {
    const found = await audit(run.source);
    expect(found.findings).toEqual([]);
    const { samples } = found.figures as NonNullable<typeof found.figures>;
    expect(samples).toMatchObject({ from: 0, faults: [] });
    expect(samples?.pending).toBeGreaterThan(0);
    expect(samples?.counted).toBe((samples?.to ?? 0) - (samples?.pending ?? 0));
    expect(samples?.epochs?.whole).toBeGreaterThan(0);
    expect(found.proved.join(" ")).toMatch(/each sample exactly once an epoch.*given out and .* not counted yet/);
    const events = run.records.map(({ event }) => event);
    const stale = published(events).filter(({ contributions }) => new Set(contributions.map(({ weight }) => weight)).size > 1);
    expect(stale.length).toBeGreaterThan(2);
    expect(await replay(run.source, { hash: FAST.hash })).toMatchObject({ ok: true, same: 13, givenUp: [] });
  });

  it("gives contributions up with the version that counts them, not with the one on which their lease was cut", async () => {
    const { source, kit, run: id } = await trained({ versions: 2 });
    const found = await verify({ ...source, data: "left-out" }, FAST);
    expect(found.findings).toEqual([]);
    const [newest, ...older] = published(run.records.map(({ event }) => event)).reverse();
    expect(newest?.version).toBe(12);
    expect(older).toHaveLength(11);
    for await (const { event } of kit.storage.ledger.read(id)) {
      if (event.type !== "version-published") continue;
      for (const { sha256 } of event.contributions)
        expect((await kit.storage.contributions.get(id, sha256)) !== null, `of version ${event.version}`).toBe(event.version > 10);
    }
  });

  type Change = readonly [string, (events: LedgerEvent[]) => unknown, RegExp];
  const versionOf = (events: LedgerEvent[], at: number) => published(events)[at] as EventOf<"version-published">;
  const closingOf = (events: LedgerEvent[], at: number) =>
    events.filter((event): event is EventOf<"round-closing"> => event.type === "round-closing")[at] as EventOf<"round-closing">;
  const changes: readonly Change[] = [
    [
      "gives a contribution the weight of a fresh one",
      (events) => {
        const stale = published(events).find(({ contributions }) => new Set(contributions.map(({ weight }) => weight)).size > 1);
        for (const contribution of stale?.contributions ?? []) contribution.weight = f32ToHex(1 / (stale?.contributions.length ?? 1));
      },
      /counts lease .* with 7 samples and weight/,
    ],
    ["closes without a contribution", (events) => closingOf(events, 3).leases.pop(), /closes with other contributions than were admitted/],
    [
      "closes with one and counts others",
      (events) => versionOf(events, 3).contributions.pop(),
      /does not count what its round closed with/,
    ],
    [
      "counts a contribution again",
      (events) => versionOf(events, 4).contributions.push(versionOf(events, 3).contributions[0] as never),
      /counts a contribution to lease .* that was not admitted/,
    ],
    ["says more samples", (events) => Object.assign(versionOf(events, 2), { samples: 700 }), /is said to count 700 samples/],
    [
      "gives a lease on an older version",
      (events) => Object.assign(events.findLast((event) => event.type === "lease-assigned") as object, { base: 1 }),
      /is given on version 1/,
    ],
    [
      "gives the same samples out twice",
      (events) => {
        const last = events.findLast((event) => event.type === "lease-assigned" && event.attempt === 1) as EventOf<"lease-assigned">;
        last.start -= 7;
      },
      /the next of its round is/,
    ],
  ];
  it.each(changes)("whose coordinator %s is found out", async (_what, change, detail) => {
    const sign = (domain: string, value: unknown): string => run.kit.identity.sign(domain, value);
    const records = forged(run.records, sign, (events) => {
      change(events);
      return events;
    });
    const found = await audit(withRecords(run.source, records));
    expect(found.ok).toBe(false);
    expect(found.findings.map((finding) => finding.detail).join("\n")).toMatch(detail);
  });
});
