import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { AUDITED_SPEC, type AuditedRun, auditedRun, FAST, makeHash, startAudited } from "../../test/audited-run.ts";
import {
  type ArchiveFile,
  type OpenedArchive,
  openArchive,
  type RunSource,
  replay,
  verifyArchive,
  type WrittenArchive,
  writeArchive,
} from "../index.ts";

const fileOf = (bytes: Uint8Array): ArchiveFile => ({ sizeBytes: bytes.length, read: async (start, end) => bytes.slice(start, end) });

async function written(source: RunSource, withData = true): Promise<{ readonly bytes: Uint8Array; readonly written: WrittenArchive }> {
  let spool = Buffer.alloc(0);
  const out: Uint8Array[] = [];
  const result = await writeArchive({
    source,
    withData,
    makeHash,
    spool: {
      append: async (bytes) => {
        spool = Buffer.concat([spool, bytes]);
      },
      read: async (start, end) => new Uint8Array(spool.subarray(start, end)),
    },
    append: async (bytes) => out.push(bytes.slice()),
  });
  return { bytes: new Uint8Array(Buffer.concat(out)), written: result };
}
async function opened(bytes: Uint8Array): Promise<OpenedArchive> {
  const archive = await openArchive(fileOf(bytes), makeHash);
  if (!archive.ok) throw new Error(archive.message);
  return archive.value;
}
/** Everything that is said of a file: why it cannot be opened, or what verifying finds. */
async function faultsOf(bytes: Uint8Array): Promise<readonly string[]> {
  const archive = await openArchive(fileOf(bytes), makeHash);
  if (!archive.ok) return [archive.message];
  return (await verifyArchive(archive.value, FAST)).findings.map(({ detail }) => detail);
}

let trained: AuditedRun;
let archive: { readonly bytes: Uint8Array; readonly written: WrittenArchive };
beforeAll(async () => {
  trained = await auditedRun();
  archive = await written(trained.source);
});

describe("an archive", () => {
  it("holds the run whole: it is proved and replayed from the file alone", async () => {
    const file = await opened(archive.bytes);
    const found = await verifyArchive(file, { ...FAST, key: trained.kit.identity.publicKey });
    expect(found).toMatchObject({ ok: true, newest: 9, spans: [{ from: 1, to: 9, provable: "recompute" }] });
    expect(await replay(file.source, FAST)).toMatchObject({ ok: true, same: 10 });
    expect(archive.written).toMatchObject({ sizeBytes: archive.bytes.length, givenUp: 0 });
    expect(makeHashOf(archive.bytes.subarray(0, -32))).toBe(archive.written.sha256);
  });

  it("begins with a line that says what it is, and is the same bytes whenever it is written", async () => {
    const text = new TextDecoder().decode(archive.bytes.subarray(0, 400));
    expect(text).toMatch(/^weft-archive\/1 \d+ [0-9a-f]{64}\n\{"about":"A training run of Weft: /);
    expect((await written(trained.source)).bytes).toEqual(archive.bytes);
  });

  it("can leave the data out, and says so", async () => {
    const without = await written(trained.source, false);
    expect(archive.bytes.length - without.bytes.length).toBeGreaterThan(250);
    const found = await verifyArchive(await opened(without.bytes), FAST);
    expect(found.ok).toBe(true);
    expect(found.proved.join(" ")).toContain("the data set's shards are left out, only their hashes are here");
  });

  it("of a run in the middle of a round, and of one that gave contributions up, is proved too", async () => {
    const { source } = await startAudited();
    expect(await faultsOf((await written(source)).bytes)).toEqual([]);
    const kept = await auditedRun({ retention: { contributions: { versions: 2 } } });
    const gone = new Set(
      kept.records.flatMap(({ event }) =>
        event.type === "contribution-admitted" && Number.parseInt(event.header.lease, 10) < 7 ? [event.header.sha256] : [],
      ),
    );
    const thin = await written({ ...kept.source, contribution: async (name) => (gone.has(name) ? null : kept.source.contribution(name)) });
    expect(thin.written.givenUp).toBe(gone.size);
    const found = await verifyArchive(await opened(thin.bytes), FAST);
    expect(found).toMatchObject({
      ok: true,
      spans: [
        { to: 7, provable: "given-up" },
        { from: 8, provable: "recompute" },
      ],
    });
  });

  it("catches up with a run that moves on and gives up contributions while it is read", async () => {
    const kept = await auditedRun({ retention: { contributions: { versions: 2 } } });
    const cut = kept.records.findIndex(({ event }) => event.type === "version-published" && event.version === 4) + 1;
    let reads = 0;
    const moving: RunSource = {
      ...kept.source,
      async *records(fromSeq = 0) {
        reads += 1;
        yield* kept.records.slice(fromSeq, reads === 1 ? cut : undefined);
      },
      // By the time that contributions are fetched, the run is at its end.
      contribution: async (name) => {
        const header = kept.records
          .flatMap(({ event }) => (event.type === "contribution-admitted" ? [event.header] : []))
          .find(({ sha256 }) => sha256 === name);
        return Number.parseInt(header?.lease ?? "0", 10) < 7 ? null : kept.source.contribution(name);
      },
    };
    const found = await verifyArchive(await opened((await written(moving)).bytes), FAST);
    expect(found).toMatchObject({ ok: true, newest: 9 });
  });

  it("is not made of a run that is not whole: the thing is named", async () => {
    const { weights } = trained.kit.coordinator.detail("audited") ?? { weights: { sha256: "" } };
    const { source } = trained;
    const lost = written({ ...source, blob: async (name) => (name === weights.sha256 ? null : source.blob(name)) });
    await expect(lost).rejects.toThrow(`The weights of version 9 is missing (${weights.sha256}).`);
    const changed = written({ ...source, blob: async (name) => (name === weights.sha256 ? new Uint8Array(4) : source.blob(name)) });
    await expect(changed).rejects.toThrow(/^The weights of version 9 has other bytes than /);
    await expect(written({ ...source, contribution: async () => null })).rejects.toThrow(/^The contribution to lease 0\.0 is missing/);
  });
});

describe("one changed byte", () => {
  const flipped = (bytes: Uint8Array, at: number, by: number): Uint8Array => {
    const copy = bytes.slice();
    copy[at] = (copy[at] ?? 0) ^ by;
    return copy;
  };

  /** How a change at each place must be named: by the event or the blob, and the archive's own frame by its part. */
  const namesIn = async (bytes: Uint8Array): Promise<(at: number) => RegExp> => {
    const { entries } = (await opened(bytes)).table;
    const start = bytes.length - 32 - entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return (at) => {
      if (at >= bytes.length - 32) return /digest at the archive's end/;
      if (at < start) return /first line|table of contents/;
      return /of version \d+|to lease \d+\.\d+|specification|manifest|Shard \d+|[Rr]ecord|head's signature/;
    };
  };

  it("anywhere in a small archive is found, and named by its event or blob", { timeout: 300_000 }, async () => {
    // One version made by one volunteer with one lease, a data set left out: eight records, five blobs, one contribution.
    const training = { ...AUDITED_SPEC.training, versions: 2, samplesPerVersion: 4, codec: "f32" } as const;
    const { source } = await startAudited({ training }, 1, async (kit, [anna]) => {
      await anna?.contribute(await anna.lease(null, 100));
      await kit.coordinator.idle();
    });
    const { bytes } = await written(source, false);
    const whole = await opened(bytes);
    expect((await verifyArchive(whole, FAST)).findings).toEqual([]);
    const named = await namesIn(bytes);
    const answers = new Set<string>();
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = flipped(bytes, at, 1 << (at % 8));
      const seen = await openArchive(fileOf(changed), makeHash);
      if (seen.ok && (await seen.value.check()).length === 0) throw new Error(`byte ${at} of ${bytes.length} can be changed unseen`);
      const faults = await faultsOf(changed);
      if (!named(at).test(faults.join("\n"))) throw new Error(`byte ${at} of ${bytes.length} is named as ${JSON.stringify(faults)}`);
      for (const fault of faults) answers.add(fault.replaceAll(/[0-9a-f]{64}|\d+/g, "#"));
    }
    // Each part of the file answers by its own name.
    for (const part of [
      /first line is not that of one/,
      /table of contents is not the one/,
      /^The weights of version # has other bytes/,
      /^The optimiser state of version # has other bytes/,
      /^The specification has other bytes/,
      /^The data set's manifest has other bytes/,
      /^The contribution to lease #\.# has other bytes/,
      /^The hash does not follow from the record before/,
      /^The head's signature is not/,
      /is not signed by the volunteer/,
      /^Not a ledger record/,
      /^The digest at the archive's end is not/,
    ])
      expect(
        [...answers].some((answer) => part.test(answer)),
        String(part),
      ).toBe(true);
  });

  it("at any place of a larger one is found, and named by its event or blob", { timeout: 120_000 }, async () => {
    const { bytes } = archive;
    const named = await namesIn(bytes);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), async (at, by) => {
        const faults = await faultsOf(flipped(bytes, at, by));
        expect(faults.join("\n")).toMatch(named(at));
      }),
      { numRuns: 50, seed: 11 },
    );
  });

  it("in the ledger is named by its record", async () => {
    const text = new TextDecoder("latin1").decode(archive.bytes);
    const { records } = trained;
    for (const { seq, hash } of [records[0], records[40], records.at(-1)].flatMap((record) => record ?? [])) {
      // The table of contents names the last record's hash too.
      const at = text.lastIndexOf(`"hash":"${hash}"`) + 10;
      const found = await verifyArchive(await opened(flipped(archive.bytes, at, 1)), FAST);
      expect(found.findings.map((finding) => finding.seq)).toContain(seq);
    }
  });
});

describe("a file from a stranger", () => {
  const tableOf = (bytes: Uint8Array): { readonly line: string; readonly table: string; readonly rest: Uint8Array } => {
    const newline = bytes.indexOf(10);
    const line = new TextDecoder().decode(bytes.subarray(0, newline));
    const size = Number(line.split(" ")[1]);
    return {
      line,
      table: new TextDecoder().decode(bytes.subarray(newline + 1, newline + 1 + size)),
      rest: bytes.subarray(newline + 1 + size),
    };
  };
  /** The archive with another table, its first line made to fit. */
  const retold = (
    change: (table: { entries: { name: string; sha256: string; sizeBytes: number }[] } & Record<string, unknown>) => unknown,
  ): Uint8Array => {
    const { table, rest } = tableOf(archive.bytes);
    const text = JSON.stringify(change(JSON.parse(table)));
    const bytes = new TextEncoder().encode(text);
    return new Uint8Array(Buffer.concat([Buffer.from(`weft-archive/1 ${bytes.length} ${makeHashOf(bytes)}\n`), bytes, rest]));
  };
  const refusalOf = async (bytes: Uint8Array): Promise<string> => {
    const result = await openArchive(fileOf(bytes), makeHash);
    return result.ok ? "opened" : result.message;
  };

  it.each<readonly [string, () => Uint8Array, RegExp]>([
    ["nothing", () => new Uint8Array(), /first line is not that of one/],
    ["a zip", () => Uint8Array.from([0x50, 0x4b, 3, 4, 10, 0, 0]), /first line is not that of one/],
    [
      "a table longer than the file",
      () => new TextEncoder().encode(`weft-archive/1 999999999 ${"a".repeat(64)}\n{}`),
      /more than the file can hold/,
    ],
    ["a table of no length", () => new TextEncoder().encode(`weft-archive/1 0 ${"a".repeat(64)}\n{}`), /first line is not that of one/],
    ["a file that was cut off", () => archive.bytes.slice(0, -1), /it was cut off/],
    ["a file that goes on", () => new Uint8Array([...archive.bytes, 0]), /it was lengthened/],
    [
      "a path as a name",
      () =>
        retold((table) => ({
          ...table,
          entries: table.entries.map((entry, at) => (at === 3 ? { ...entry, name: "../../etc/passwd" } : entry)),
        })),
      /malformed at entries\.3\.name/,
    ],
    [
      "a name twice",
      () => retold((table) => ({ ...table, entries: [...table.entries, table.entries[0]] })),
      /names blob-[0-9a-f]{64} twice/,
    ],
    ["no ledger", () => retold((table) => ({ ...table, entries: table.entries.slice(0, -1) })), /names no ledger/],
    [
      "a blob under another name",
      () =>
        retold((table) => ({
          ...table,
          entries: table.entries.map((entry, at) => (at === 0 ? { ...entry, sha256: "a".repeat(64) } : entry)),
        })),
      /another hash than its name's/,
    ],
    [
      "a size that is none",
      () => retold((table) => ({ ...table, entries: table.entries.map((entry, at) => (at === 0 ? { ...entry, sizeBytes: -1 } : entry)) })),
      /malformed at entries\.0\.sizeBytes/,
    ],
    [
      "a blob without end",
      () =>
        retold((table) => ({ ...table, entries: table.entries.map((entry, at) => (at === 0 ? { ...entry, sizeBytes: 2 ** 33 } : entry)) })),
      /at most \d+ are read/,
    ],
    ["a field that is none", () => retold((table) => ({ ...table, run_me: "please" })), /malformed/],
    ["a table that is no JSON", () => retold(() => undefined), /./],
  ])("%s: refused in words", async (_what, bytes, sentence) => {
    expect(await refusalOf(bytes())).toMatch(sentence);
  });

  it("with an entry that its ledger does not name is found out", async () => {
    const extra = new TextEncoder().encode("more");
    const { table, rest } = tableOf(archive.bytes);
    const changed = JSON.parse(table);
    changed.entries.push({ name: `blob-${makeHashOf(extra)}`, sha256: makeHashOf(extra), sizeBytes: extra.length });
    const tableBytes = Buffer.from(JSON.stringify(changed));
    const body = Buffer.concat([
      Buffer.from(`weft-archive/1 ${tableBytes.length} ${makeHashOf(tableBytes)}\n`),
      tableBytes,
      rest.subarray(0, -32),
      extra,
    ]);
    const whole = new Uint8Array(Buffer.concat([body, Buffer.from(makeHashOf(body), "hex")]));
    expect(await faultsOf(whole)).toEqual([`The archive holds blob-${makeHashOf(extra)}, which its ledger does not name.`]);
  });
});

function makeHashOf(bytes: Uint8Array): string {
  const hash = makeHash();
  hash.update(bytes);
  return hash.hex();
}
