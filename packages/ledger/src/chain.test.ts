import { createHash } from "node:crypto";
import { f32ToHex, type LedgerEvent, type LedgerRecord } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { ada, coordinator, story } from "../test/story.ts";
import { appendRecords, emptyHead, headAfter } from "./chain.ts";
import { createIdentity } from "./signatures.ts";
import { verifyChain } from "./verify.ts";

const RUN = "digits";
/** Four versions, then back to the second; then it is stopped. */
const events = (): LedgerEvent[] => {
  const blob = { sha256: "3".repeat(64), sizeBytes: 9_000 };
  const abandoned = [{ lease: "4.0", volunteer: ada.publicKey, sha256: "4".repeat(64), samples: 8 }];
  const by = "ada";
  return [
    ...story(4),
    { type: "run-rolled-back", version: 5, to: 2, by, weights: blob, optimizer: blob, position: 32, steps: 2, abandoned },
    { type: "run-stopped", by, abandoned: [] },
  ];
};
const ledger = (): LedgerRecord[] => structuredClone(appendRecords(emptyHead(RUN), events(), 1_000, coordinator.sign));
const at = (records: LedgerRecord[], seq: number): LedgerRecord => {
  const record = records[seq];
  if (record === undefined) throw new Error(`no record ${seq}`);
  return record;
};
const faultsOf = async (records: unknown[], key?: string) =>
  (await verifyChain(RUN, records, key)).findings.map(({ seq, fault }) => `${fault} at ${seq}`);

/** Every path to a leaf of a JSON value. */
function leaves(value: unknown, path: string[] = []): string[][] {
  if (value === null || typeof value !== "object") return [path];
  return Object.entries(value).flatMap(([name, field]) => leaves(field, [...path, name]));
}
/** Another value of the same kind, still within the schema where that is possible. */
function altered(value: unknown): unknown {
  if (typeof value === "number") return value + 1;
  if (typeof value === "boolean") return !value;
  if (value === null) return "0".repeat(128);
  const text = value as string;
  return /^[0-9a-f]{8,}$/.test(text) ? `${text.slice(0, -1)}${text.endsWith("0") ? "1" : "0"}` : `${text}x`;
}
function tampered(record: LedgerRecord, path: readonly string[]): LedgerRecord {
  const copy = structuredClone(record) as unknown as Record<string, unknown>;
  let place = copy;
  for (const name of path.slice(0, -1)) place = place[name] as Record<string, unknown>;
  const last = path.at(-1) as string;
  place[last] = altered(place[last]);
  return copy as unknown as LedgerRecord;
}

describe("the hash chain", () => {
  it("hashes the previous hash's bytes and the canonical JSON, as an independent computation does", () => {
    const records = ledger();
    const { seq, atMs, event, hash } = at(records, 1);
    if (event.type !== "volunteer-joined") throw new Error("the story changed");
    const { volunteer } = event;
    const json = `{"atMs":${atMs},"event":{"device":{"backend":"webgpu","description":"Some GPU","software":false},"name":"Ada","type":"volunteer-joined","volunteer":"${volunteer}"},"seq":${seq}}`;
    const expected = createHash("sha256")
      .update(Buffer.from(at(records, 0).hash, "hex"))
      .update(json)
      .digest("hex");
    expect(hash).toBe(expected);
  });

  it("is the same whether its events are appended at once or one by one", () => {
    let head = emptyHead(RUN);
    const oneByOne = story(2).flatMap((event) => {
      const records = appendRecords(head, [event], 1_000, coordinator.sign);
      head = headAfter(RUN, at(records, 0));
      return records;
    });
    expect(oneByOne).toEqual(appendRecords(emptyHead(RUN), story(2), 1_000, coordinator.sign));
  });

  it("verifies, with run-created and every version signed, against the coordinator's key and against its own word", async () => {
    const records = ledger();
    const report = await verifyChain(RUN, records, coordinator.publicKey);
    expect(report).toMatchObject({ ok: true, findings: [], records: records.length, signedHeads: 6 });
    expect(report.head).toEqual(headAfter(RUN, at(records, records.length - 1)));
    expect((await verifyChain(RUN, records)).ok).toBe(true);
    expect(records.filter(({ signature }) => signature !== null).map(({ event }) => event.type)).toEqual([
      "run-created",
      ...Array.from({ length: 4 }, () => "version-published"),
      "run-rolled-back",
    ]);
  });

  it("shows a change of any single field of any kind of record, at that record", async () => {
    const records = ledger();
    let changes = 0;
    // The first of each kind: later ones have the same fields.
    const kinds = new Map(records.toReversed().map((record) => [record.event.type, record])).values();
    for (const record of kinds) {
      for (const path of leaves(record)) {
        const changed = [...records];
        changed[record.seq] = tampered(record, path);
        const { ok, findings } = await verifyChain(RUN, changed.slice(0, record.seq + 2), coordinator.publicKey);
        const where = `${path.join(".")} of record ${record.seq}`;
        expect(ok, where).toBe(false);
        expect(Math.abs((findings[0]?.seq ?? -9) - record.seq), where).toBeLessThanOrEqual(1);
        changes += 1;
      }
    }
    expect(changes).toBeGreaterThan(120);
  });

  it("names one broken hash for one changed record, and goes on", async () => {
    const records = ledger();
    records[5] = { ...at(records, 5), atMs: 1_001 };
    expect(await faultsOf(records, coordinator.publicKey)).toEqual(["broken-hash at 5"]);
  });

  it("shows a record that was taken out, put in twice, or exchanged with its neighbour", async () => {
    const records = ledger();
    expect(await faultsOf(records.toSpliced(5, 1))).toEqual(["gap at 6", "broken-hash at 6"]);
    expect((await faultsOf(records.toSpliced(5, 0, at(records, 5))))[0]).toBe("gap at 5");
    expect((await faultsOf(records.toSpliced(5, 2, at(records, 6), at(records, 5))))[0]).toBe("gap at 6");
  });

  it("shows a history that was rewritten consistently but not signed by the coordinator", async () => {
    const forged = events().map((event) =>
      event.type === "version-evaluated" ? { ...event, evaluation: { ...event.evaluation, accuracy: f32ToHex(1) } } : event,
    );
    const records = appendRecords(emptyHead(RUN), forged, 1_000, createIdentity(new Uint8Array(32).fill(3)).sign);
    const faults = await faultsOf(records, coordinator.publicKey);
    expect(faults.length).toBe(6);
    expect(faults.every((fault) => fault.startsWith("bad-signature"))).toBe(true);
  });

  it("shows signatures that are missing, misplaced, or of another run", async () => {
    const records = ledger();
    const head = at(records, 0);
    expect(await faultsOf([{ ...head, signature: null }])).toEqual(["missing-signature at 0"]);
    expect(await faultsOf([head, { ...at(records, 1), signature: head.signature }])).toEqual(["unexpected-signature at 1"]);
    const report = await verifyChain("letters", [head], coordinator.publicKey);
    expect(report.findings.map(({ fault }) => fault)).toEqual(["bad-beginning", "bad-signature"]);
    expect(await faultsOf(records, "0".repeat(64))).toContain("wrong-key at 0");
  });

  it("says of hostile records where they are and that they are none, and is not ok on an empty ledger", async () => {
    const [first, second] = ledger();
    expect(await faultsOf([first, null, "x", { ...second, extra: 1 }])).toEqual(["malformed at 1", "malformed at 2", "malformed at 3"]);
    expect(await verifyChain(RUN, [])).toMatchObject({ ok: false, records: 0 });
    expect(
      (
        await verifyChain(
          RUN,
          Array.from({ length: 500 }, () => null),
        )
      ).findings.length,
    ).toBe(100);
    expect(await faultsOf(ledger().slice(1, 3))).toEqual(["gap at 1", "bad-beginning at 1", "broken-hash at 1"]);
  });

  it("reads a stream", async () => {
    async function* stream() {
      yield* ledger();
    }
    expect((await verifyChain(RUN, stream())).ok).toBe(true);
  });
});
