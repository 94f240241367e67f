import { createIdentity } from "@weft/ledger";
import type { EventOf, LedgerEvent, LedgerRecord } from "@weft/protocol";
import { type ScriptedVolunteer, TestCoordinator, trainToTheEnd } from "@weft/testkit";
import { beforeAll, describe, expect, it } from "vitest";
import { type AuditedRun, auditedRun, FAST, forged, REAL_IMAGES, startAudited, withRecords } from "../test/audited-run.ts";
import { type RunSource, replay, SourceDamaged, storageSource, type Verification, type VerifyOptions, verify } from "./index.ts";

let trained: AuditedRun;
beforeAll(async () => {
  trained = await auditedRun();
});

const audit = (source: RunSource, options: VerifyOptions = {}): Promise<Verification> => verify(source, { ...FAST, ...options });
const key = (): string => trained.kit.identity.publicKey;
const details = ({ findings }: Verification): string[] => findings.map(({ detail }) => detail);
const eventOf = <T extends LedgerEvent["type"]>(type: T, at = 0): EventOf<T> & { readonly seq: number } => {
  const found = trained.records.filter(({ event }) => event.type === type)[at];
  if (found === undefined) throw new Error(`no ${type} number ${at}`);
  return { ...(found.event as EventOf<T>), seq: found.seq };
};
const spoiled = (bytes: Uint8Array | null): Uint8Array | null => {
  const copy = bytes?.slice() ?? null;
  if (copy !== null) copy[0] = (copy[0] ?? 0) ^ 1;
  return copy;
};

describe("a run that is as it should be", () => {
  it("is proved, and what is proved is said", async () => {
    const found = await audit(trained.source, { key: key() });
    expect(found).toMatchObject({ ok: true, found: 0, name: "audited", newest: 9, spans: [{ from: 1, to: 9, provable: "recompute" }] });
    const counted = trained.records.filter(({ event }) => event.type === "contribution-admitted").length;
    expect(found.proved).toEqual([
      `The ledger has ${trained.records.length} records in one unbroken chain; its 10 heads are signed by ${key()}.`,
      `${counted} contributions, each signed by one of 3 volunteers: ${counted} counted in one version each; all are here.`,
      "Version 9 has counted 126 samples: 3 whole epochs of 40 samples, each sample exactly once an epoch; and 6 samples of an epoch that is not whole, none twice.",
      expect.stringMatching(/^\d+ blobs of [\d,]+ bytes have the hashes that the ledger names; 2 shards of the data set among them\.$/),
      "Versions 1 to 9 can be recomputed from version 0.",
    ]);
  });

  it("says whose word the key is when it is not known from elsewhere", async () => {
    const found = await audit(trained.source);
    expect(found.ok).toBe(true);
    expect(found.proved[0]).toContain("Compare that key with the one that the coordinator tells you.");
  });

  it("is proved in the middle of a round, with what waits in it", async () => {
    const { kit, people, run, source } = await startAudited();
    const [anna] = people;
    await anna?.contribute(await anna.lease(null, 3));
    await kit.coordinator.idle();
    const found = await audit(source);
    expect(found).toMatchObject({ ok: true, newest: 0, spans: [], figures: { accounting: { counted: 0, waiting: 1 } } });
    expect(found.proved).toContainEqual("No sample has been counted yet.");
    expect(run).toBe("audited");
  });

  it("tells how far it is", async () => {
    const phases: string[] = [];
    await audit(trained.source, { onProgress: ({ phase }) => phases.push(phase) });
    expect(new Set(phases)).toEqual(new Set(["ledger", "bytes"]));
  });
});

describe("bytes", () => {
  const withBytes = (change: Partial<RunSource>): Promise<Verification> => audit({ ...trained.source, ...change }, { key: key() });

  it.each([
    [
      "the weights of version 4",
      (): string => eventOf("version-published", 3).weights.sha256,
      (): number => eventOf("version-published", 3).seq,
    ],
    [
      "the optimiser state of version 4",
      (): string => eventOf("version-published", 3).optimizer.sha256,
      (): number => eventOf("version-published", 3).seq,
    ],
    ["the data set's manifest", () => eventOf("run-created").dataset.sha256, (): number => 0],
    ["the checkpoint of version 2", () => eventOf("checkpoint-written").archive.sha256, (): number => eventOf("checkpoint-written").seq],
  ] as const)("%s: missing, changed, or unreadable, it is named with its record", async (what, sha256, seq) => {
    const { source } = trained;
    const blob = (give: (bytes: Uint8Array | null) => Uint8Array | null): Partial<RunSource> => ({
      blob: async (name) => (name === sha256() ? give(await source.blob(name)) : source.blob(name)),
    });
    const capital = `${what.charAt(0).toUpperCase()}${what.slice(1)}`;
    const at = { seq: seq(), sha256: sha256() };
    expect((await withBytes(blob(() => null))).findings).toContainEqual({ code: "missing", detail: `${capital} is missing.`, ...at });
    expect((await withBytes(blob(spoiled))).findings).toContainEqual({
      code: "wrong-bytes",
      detail: `${capital} has other bytes than the ledger names.`,
      ...at,
    });
    const unreadable = blob(() => {
      throw new SourceDamaged("the disk is failing.");
    });
    expect(details(await withBytes(unreadable))).toContainEqual(`${capital} cannot be read: the disk is failing.`);
  });

  it("a contribution that the retention keeps and that is gone is a finding; the versions that need it are named apart from the others", async () => {
    const { header, seq } = eventOf("contribution-admitted", 20);
    const found = await withBytes({ contribution: async (name) => (name === header.sha256 ? null : trained.source.contribution(name)) });
    expect(found.findings).toEqual([
      {
        code: "missing",
        seq,
        sha256: header.sha256,
        detail: `The contribution to lease ${header.lease} is missing, although the run's retention keeps it.`,
      },
    ]);
    const broken = Number(header.lease.split(".")[0]) + 1;
    expect(found.spans).toEqual([
      { from: 1, to: broken - 1, provable: "recompute" },
      { from: broken, to: broken, provable: "broken" },
      { from: broken + 1, to: 9, provable: "recompute" },
    ]);
    expect(found.proved).toEqual([
      `Versions 1 to ${broken - 1} can be recomputed from version 0.`,
      `Versions ${broken + 1} to 9 can be recomputed from version ${broken}.`,
    ]);
  });

  it("shards are checked by the manifest's hashes", async () => {
    const [shard] = (await trained.kit.coordinator.detail("audited"))?.manifest.train ?? [];
    const found = await withBytes({ blob: async (name) => (name === shard?.sha256 ? null : trained.source.blob(name)) });
    expect(details(found)).toEqual(["Shard 0 of the data set is missing."]);
  });

  it("a source that cannot be read at all is no verdict", async () => {
    await expect(withBytes({ blob: () => Promise.reject(new Error("no route to host")) })).rejects.toThrow("no route to host");
  });
});

describe("retention", () => {
  it.each([
    [{ versions: 3 } as const, 6, "contributions are kept for 3 versions"],
    ["none" as const, 9, "contributions are kept only until their version is made"],
  ])("%j: what was given up under it is no finding, and is said exactly", async (contributions, last, words) => {
    const { source, records } = await auditedRun({ retention: { contributions } });
    const gone = new Set(
      records.flatMap(({ event }) =>
        event.type === "contribution-admitted" && Number.parseInt(event.header.lease, 10) < last ? [event.header.sha256] : [],
      ),
    );
    const found = await audit({ ...source, contribution: async (name) => (gone.has(name) ? null : source.contribution(name)) });
    expect(found.findings).toEqual([]);
    expect(found.figures?.contributions.givenUp).toBe(gone.size);
    expect(found.proved).toContainEqual(
      `Versions 1 to ${last}: hashes and signatures hold; the contributions were given up (${words}), so the weights cannot be recomputed.`,
    );
    expect(found.proved.at(-1)).toBe(last === 9 ? found.proved.at(-1) : "Versions 7 to 9 can be recomputed from version 6.");
  });

  it("one version too many given up is a finding", async () => {
    const { source, records } = await auditedRun({ retention: { contributions: { versions: 3 } } });
    const kept = records.flatMap(({ event }) =>
      event.type === "contribution-admitted" && event.header.lease.startsWith("6.") ? [event.header.sha256] : [],
    );
    const found = await audit({ ...source, contribution: async (name) => (kept.includes(name) ? null : source.contribution(name)) });
    expect(found.findings.map(({ code }) => code)).toEqual(kept.map(() => "missing"));
  });
});

describe("a ledger that was changed", () => {
  it("any one record changed afterwards is named by its number", async () => {
    for (const seq of [0, 5, 60, trained.records.length - 1]) {
      const records = trained.records.map((record) => (record.seq === seq ? { ...record, atMs: record.atMs + 1 } : record));
      const found = await audit(withRecords(trained.source, records), { key: key() });
      expect(found.findings.map((finding) => [finding.code, finding.seq])).toEqual([["broken-hash", seq]]);
    }
  });

  it("a record left out, and one that is none, are named", async () => {
    const without = trained.records.filter(({ seq }) => seq !== 7);
    expect((await audit(withRecords(trained.source, without), { key: key() })).findings[0]).toMatchObject({ code: "gap", seq: 8 });
    const strange: unknown[] = [...trained.records];
    strange[7] = { seq: 7 };
    expect((await audit(withRecords(trained.source, strange), { key: key() })).findings[0]).toMatchObject({ code: "malformed", seq: 7 });
  });

  it("another coordinator's key is found", async () => {
    const other = createIdentity(new Uint8Array(32).fill(9)).publicKey;
    expect((await audit(trained.source, { key: other })).findings[0]).toMatchObject({ code: "wrong-key", seq: 0 });
  });

  it("an empty ledger proves nothing", async () => {
    expect(await audit(withRecords(trained.source, []))).toMatchObject({ ok: false, figures: null, findings: [{ code: "missing" }] });
  });
});

describe("a coordinator that cheats, with a chain and signatures of its own making", () => {
  const cheat = async (change: (events: LedgerEvent[]) => readonly LedgerEvent[]): Promise<Verification> => {
    const sign = (domain: string, value: unknown): string => trained.kit.identity.sign(domain, value);
    return audit(withRecords(trained.source, forged(trained.records, sign, change)), { key: key() });
  };
  type Change<T extends LedgerEvent["type"]> = (event: EventOf<T>) => unknown;
  /** Changes the event of this type that comes at `at`. */
  const changed =
    <T extends LedgerEvent["type"]>(type: T, at: number, change: Change<T>) =>
    (events: LedgerEvent[]): LedgerEvent[] => {
      const event = events.filter((candidate): candidate is EventOf<T> => candidate.type === type)[at];
      if (event === undefined) throw new Error(`no ${type} number ${at}`);
      change(event);
      return events;
    };
  const without =
    (type: LedgerEvent["type"], at: number) =>
    (events: LedgerEvent[]): LedgerEvent[] => {
      const gone = events.filter((event) => event.type === type)[at];
      return events.filter((event) => event !== gone);
    };

  it("the same events chained anew are the same run", async () => {
    expect(await cheat((events) => events)).toMatchObject({ ok: true });
  });

  it.each<readonly [string, (events: LedgerEvent[]) => readonly LedgerEvent[], RegExp]>([
    ["leaves a version out", without("version-published", 2), /^A round on version 3 is opened while another is open\.$/],
    [
      "jumps over a version",
      changed("version-published", 2, (event) => {
        event.version = 4;
      }),
      /^Version 4 follows version 2\.$/,
    ],
    [
      "counts a contribution twice",
      changed("version-published", 1, (event) => {
        event.contributions.push(event.contributions[0] as never);
      }),
      /^Version 2 counts lease 1\.0 from position 14 on, where 28 was due\.$/,
    ],
    [
      "leaves a contribution out",
      changed("version-published", 1, (event) => {
        event.contributions.pop();
      }),
      /was admitted, and version 2 does not count it\.$/,
    ],
    ["counts what was never admitted", without("contribution-admitted", 9), /counts a contribution to lease .+ that was not admitted\.$/],
    [
      "gives a contribution more weight",
      changed("version-published", 1, (event) => {
        (event.contributions[0] as { weight: string }).weight = "3f800000";
      }),
      /^Version 2 counts lease 1\.0 with 2 samples and weight 1\.$/,
    ],
    [
      "trains on the same samples again",
      changed("round-opened", 3, (event) => {
        event.start = 0;
      }),
      /^The round begins at position 0 of the sample stream; 42 is due\.$/,
    ],
    [
      "makes a batch smaller",
      changed("round-opened", 3, (event) => {
        event.samples = 7;
      }),
      /^The round has 7 samples; the specification says 14\.$/,
    ],
    [
      "turns the learning rate up",
      changed("round-opened", 3, (event) => {
        event.learningRate = "3f800000";
      }),
      /^The round's learning rate is 1; the specification's schedule gives 0\.0099/,
    ],
    [
      "says a better loss",
      changed("version-published", 4, (event) => {
        event.lossMean = "00000000";
      }),
      /^The loss of version 5 is not the mean of its contributions' losses\.$/,
    ],
    [
      "moves a lease",
      changed("lease-assigned", 30, (event) => {
        event.start += 1;
      }),
      /positions|another piece of work/,
    ],
    [
      "gives the credit to somebody else",
      changed("contribution-admitted", 12, (event) => {
        event.header.volunteer = "ab".repeat(32);
      }),
      /is not signed by the volunteer that it names\.$/,
    ],
    [
      "improves what a volunteer said",
      changed("contribution-admitted", 12, (event) => {
        event.header.lossMean = "00000000";
      }),
      /is not signed by the volunteer that it names\.$/,
    ],
    [
      "ends the run early",
      changed("run-finished", 0, (event) => {
        event.version = 8;
      }),
      /^The run is finished at version 8; its newest is 9\.$/,
    ],
    [
      "admits after the end",
      (events) => [...events, events.find(({ type }) => type === "contribution-admitted") as LedgerEvent],
      /which is no lease of the open round\.$/,
    ],
    ["pauses what is finished", (events) => [...events, { type: "run-paused", by: "somebody" }], /^run-paused cannot follow: /],
  ])("%s: found", async (_what, change, sentence) => {
    const found = await cheat(change);
    expect(found.ok).toBe(false);
    expect(
      details(found).some((detail) => sentence.test(detail)),
      details(found).join("\n"),
    ).toBe(true);
    expect(found.proved).toEqual([]);
  });

  it("every finding about a record stands at a record", async () => {
    const found = await cheat(without("contribution-admitted", 9));
    const seqs = found.findings.flatMap(({ seq }) => (seq === null ? [] : [seq]));
    expect(seqs).toEqual(seqs.toSorted((one, other) => one - other));
    expect(seqs.length).toBeGreaterThan(0);
  });
});

describe("a run that another coordinator took over", () => {
  it("goes on under the new key, and its whole history is proved by that key", async () => {
    const { kit, people, run } = await startAudited();
    const [anna, ben] = people as [ScriptedVolunteer, ScriptedVolunteer];
    await anna.contribute(await anna.lease(null, 3));
    const held = await ben.lease(null, 3);
    await kit.coordinator.idle();
    kit.abandon();
    const other = await TestCoordinator.start({ storage: kit.storage, seed: 2, clock: kit.clock, datasets: [REAL_IMAGES] });
    expect(other.identity.publicKey).not.toBe(kit.identity.publicKey);
    await anna.join(other.coordinator);
    await ben.join(other.coordinator);
    // Leases that were out are their holders' still.
    expect(await ben.contribute(held)).toMatchObject({ ok: true, value: { kind: "admitted" } });
    await trainToTheEnd(other, [anna, ben]);

    const source = storageSource(other.storage, run);
    const records = await other.records(run);
    const taken = records.find(({ event }) => event.type === "run-adopted");
    const found = await audit(source, { key: other.identity.publicKey });
    expect(found).toMatchObject({ ok: true, newest: 9, spans: [{ from: 1, to: 9, provable: "recompute" }] });
    expect(found.figures?.keys).toEqual([
      { fromSeq: 0, key: kit.identity.publicKey },
      { fromSeq: taken?.seq, key: other.identity.publicKey },
    ]);
    expect(found.proved[0]).toContain(`signed by ${kit.identity.publicKey}, from record ${taken?.seq} on by ${other.identity.publicKey}.`);
    expect((await audit(source, { key: kit.identity.publicKey })).findings).toMatchObject([{ code: "wrong-key", seq: taken?.seq }]);
    expect(await replay(source, FAST)).toMatchObject({ ok: true, same: 10 });
    // Opened again it is the new coordinator's own: nothing is taken over twice.
    await other.open();
    expect((await other.records(run)).filter(({ event }) => event.type === "run-adopted")).toHaveLength(1);
  });
});

describe("roll-backs and stops", () => {
  const commanded = async (
    command: Record<string, unknown>,
  ): Promise<{ readonly found: Verification; readonly records: LedgerRecord[] }> => {
    const { kit, run, people, source } = await startAudited();
    const until = async (version: number): Promise<void> => {
      for (let turn = 0; (kit.coordinator.detail(run)?.version ?? 0) < version && turn < 500; turn += 1)
        for (const volunteer of people) {
          const reply = await volunteer.requestLease();
          if (reply.ok && reply.value.kind === "lease") await volunteer.contribute(reply.value.assignment);
          await kit.coordinator.idle();
        }
    };
    await until(4);
    const [anna] = people;
    if (anna !== undefined) await anna.contribute(await anna.lease());
    const done = await kit.coordinator.command({ run, ...command }, "test");
    if (!done.ok) throw new Error(done.message);
    await kit.pass(1_000);
    if (command.type === "roll-back") await until(7);
    return { found: await audit(source), records: await kit.records(run) };
  };

  const abandonedIn = (records: readonly LedgerRecord[]): number => {
    const ends = records.flatMap(({ event }) =>
      event.type === "run-stopped" || event.type === "run-rolled-back" ? [event.abandoned ?? []] : [],
    );
    expect(ends.flat().length).toBeGreaterThan(0);
    return ends.flat().length;
  };

  it("a roll-back undoes versions by name; the samples of what remains are each counted once", async () => {
    const { found, records } = await commanded({ type: "roll-back", version: 2 });
    expect(found.findings).toEqual([]);
    expect(found.figures).toMatchObject({ newest: 7, undone: [{ from: 3, to: 4 }], accounting: { abandoned: abandonedIn(records) } });
    expect(found.figures?.samples).toMatchObject({ from: 0, to: 4 * 14 });
    expect(found.proved).toContainEqual("Versions 3 to 4 are undone: rolled back, and not in the present weights.");
    expect(records.some(({ event }) => event.type === "run-rolled-back")).toBe(true);
  });

  it("a stop names what its round had admitted", async () => {
    const { found, records } = await commanded({ type: "stop-run" });
    expect(found).toMatchObject({ ok: true, figures: { newest: 4, accounting: { abandoned: abandonedIn(records), waiting: 0 } } });
  });
});
