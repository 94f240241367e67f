import type { EventOf } from "@weft/protocol";
import { beforeAll, describe, expect, it } from "vitest";
import { AUDITED_SPEC, type AuditedRun, auditedRun, FAST, forged, startAudited, withRecords } from "../test/audited-run.ts";
import { type ReplayedVersion, type RunSource, replay, verify } from "./index.ts";

let trained: AuditedRun;
beforeAll(async () => {
  trained = await auditedRun();
});

const contributionsTo = ({ records }: AuditedRun, upTo: number): Set<string> =>
  new Set(
    records.flatMap(({ event }) =>
      event.type === "contribution-admitted" && Number.parseInt(event.header.lease, 10) < upTo ? [event.header.sha256] : [],
    ),
  );
const withoutContributions = (source: RunSource, gone: ReadonlySet<string>): RunSource => ({
  ...source,
  contribution: async (name) => (gone.has(name) ? null : source.contribution(name)),
});

describe("replay", () => {
  it("recomputes every version from the seed on, and has no use for the published weights", async () => {
    const seen: ReplayedVersion[] = [];
    const { weights } = trained.kit.coordinator.detail("audited") ?? { weights: null };
    const noBlobs: RunSource = { ...trained.source, blob: () => Promise.reject(new Error("a published blob was read")) };
    const found = await replay(noBlobs, { ...FAST, onVersion: (version) => seen.push(version) });
    expect(found).toEqual({ ok: true, same: 10, givenUp: [], different: null, refused: null });
    expect(seen.map(({ version, outcome }) => [version, outcome])).toEqual(Array.from({ length: 10 }, (_, version) => [version, "same"]));
    expect(seen[0]).toMatchObject({ from: "seed" });
    expect(seen.at(-1)).toMatchObject({ from: "round", published: weights?.sha256 });
  });

  it("begins at a version and ends at one", async () => {
    const seen: ReplayedVersion[] = [];
    const found = await replay(trained.source, { from: 4, to: 6, onVersion: (version) => seen.push(version) });
    expect(found).toMatchObject({ ok: true, same: 2 });
    expect(seen.map(({ version, outcome }) => [version, outcome])).toEqual([
      [4, "taken"],
      [5, "same"],
      [6, "same"],
    ]);
  });

  it.each([
    [{ from: 9 }, /^Version 9 is none to begin with: this run has versions 0 to 9\.$/],
    [{ from: 3, to: 3 }, /^Version 3 is none to end with/],
    [{ to: 10 }, /^Version 10 is none to end with: it must lie behind 0 and not beyond 9\.$/],
  ])("%j: refused in words", async (range, sentence) => {
    const found = await replay(trained.source, range);
    expect(found.ok).toBe(false);
    expect(found.refused).toMatch(sentence);
  });

  it("a run without a version yet is only its seed", async () => {
    const { source } = await startAudited();
    expect(await replay(source)).toMatchObject({ ok: true, same: 1 });
  });

  it("names the first version that differs, and does not go on from it", async () => {
    const { kit, records, source } = trained;
    const sign = (domain: string, value: unknown): string => kit.identity.sign(domain, value);
    const changed = forged(records, sign, (events) => {
      for (const event of events) if (event.type === "version-published" && event.version === 5) event.weights.sha256 = "ab".repeat(32);
      return events;
    });
    const seen: number[] = [];
    const found = await replay(withRecords(source, changed), { ...FAST, onVersion: ({ version }) => seen.push(version) });
    expect(seen).toEqual([0, 1, 2, 3, 4, 5]);
    const published = records.flatMap(({ event }) =>
      event.type === "version-published" && event.version === 5 ? [event.weights.sha256] : [],
    );
    expect(found).toMatchObject({
      ok: false,
      same: 5,
      different: { version: 5, recomputed: published[0], detail: "the recomputed weights differ from the published ones" },
    });
  });

  it.each([
    ["the norm", "the recomputed norm differs from the published one"],
    ["the optimiser state", "the recomputed optimiser state differs from the published one"],
    ["the seed", "the specification's seed gives other weights"],
  ])("finds that %s is another", async (what, detail) => {
    const sign = (domain: string, value: unknown): string => trained.kit.identity.sign(domain, value);
    const changed = forged(trained.records, sign, (events) => {
      for (const event of events) {
        if (event.type === "run-created" && what === "the seed") event.spec = { ...event.spec, seed: 8 };
        if (event.type !== "version-published" || event.version !== 2) continue;
        if (what === "the norm") event.norm = "3f800000";
        if (what === "the optimiser state") event.optimizer.sha256 = "ab".repeat(32);
      }
      return events;
    });
    expect((await replay(withRecords(trained.source, changed), FAST)).different).toMatchObject({ detail });
  });

  it("recomputes deltas, also across a roll-back, and finds one that is another or that was left out", async () => {
    const training = { ...AUDITED_SPEC.training, downlink: "int8" as const };
    const { kit, run, source, records } = await auditedRun({ training });
    expect(await replay(source, FAST)).toMatchObject({ ok: true, same: 10 });
    expect(await verify(source, FAST)).toMatchObject({ ok: true });
    const sign = (domain: string, value: unknown): string => kit.identity.sign(domain, value);
    const changes: ((event: EventOf<"version-published">) => void)[] = [
      (event) => Object.assign(event, { delta: { sha256: "ab".repeat(32), sizeBytes: 9 } }),
      (event) => delete event.delta,
    ];
    for (const change of changes) {
      const changed = forged(records, sign, (events) => {
        for (const event of events) if (event.type === "version-published" && event.version === 4) change(event);
        return events;
      });
      expect((await replay(withRecords(source, changed), FAST)).different).toMatchObject({
        version: 4,
        detail: "the recomputed delta differs from the published one",
      });
    }
    expect(await kit.coordinator.command({ type: "roll-back", run, version: 5 }, "test")).toMatchObject({ ok: true });
    expect(await replay(source, FAST)).toMatchObject({ ok: true, same: 11 });
  });

  it("a contribution with other bytes, or gone although it is kept, stops it", async () => {
    const victim = [...contributionsTo(trained, 2)].at(-1) ?? "";
    const changed: RunSource = {
      ...trained.source,
      contribution: async (name) => {
        const bytes = await trained.source.contribution(name);
        if (bytes !== null && name === victim) bytes[0] = (bytes[0] ?? 0) ^ 64;
        return bytes;
      },
    };
    expect((await replay(changed, FAST)).different).toMatchObject({
      version: 2,
      detail: expect.stringContaining("other bytes than its name"),
    });
    const gone = await replay(withoutContributions(trained.source, new Set([victim])), FAST);
    expect(gone.different).toMatchObject({ version: 2, detail: `contribution ${victim} is missing` });
  });

  it("takes the weights of versions whose contributions were given up, and says which", async () => {
    const kept = await auditedRun({ retention: { contributions: { versions: 4 } } });
    const found = await replay(withoutContributions(kept.source, contributionsTo(kept, 5)), FAST);
    expect(found).toEqual({ ok: true, same: 5, givenUp: [1, 2, 3, 4, 5], different: null, refused: null });
  });

  it("goes on across a roll-back", async () => {
    const { kit, run, people, source } = await startAudited();
    const train = async (version: number): Promise<void> => {
      for (let turn = 0; (kit.coordinator.detail(run)?.version ?? 0) < version && turn < 500; turn += 1)
        for (const volunteer of people) {
          const reply = await volunteer.requestLease();
          if (reply.ok && reply.value.kind === "lease") await volunteer.contribute(reply.value.assignment);
          await kit.coordinator.idle();
        }
    };
    await train(3);
    expect(await kit.coordinator.command({ type: "roll-back", run, version: 1 }, "test")).toMatchObject({ ok: true });
    await kit.pass(1_000);
    await train(6);
    const seen: ReplayedVersion[] = [];
    expect(await replay(source, { onVersion: (version) => seen.push(version) })).toMatchObject({ ok: true, same: 7 });
    expect(seen[4]).toMatchObject({ version: 4, from: "roll-back", published: seen[1]?.published });
  });
});
