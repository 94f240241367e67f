// The book that is kept of a ledger, over ledgers that no coordinator writes: the state machine's own fold would refuse most of them, and the
// book must not rely on it.
import type { LedgerEvent, LedgerRecord } from "@weft/protocol";
import { expect, test } from "vitest";
import { ScriptedVolunteer } from "../scripted-volunteer.ts";
import { TestCoordinator } from "../test-coordinator.ts";
import { Book, checkEpochs, type InvariantName, Violation } from "./invariants.ts";

/** Two volunteers, one version, and one contribution to the next. */
async function ledger(): Promise<LedgerRecord[]> {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const anna = new ScriptedVolunteer(1);
  const ben = new ScriptedVolunteer(2, "192.0.2.8");
  await anna.join(kit.coordinator);
  await ben.join(kit.coordinator);
  while (kit.coordinator.detail(run)?.version === 0) {
    await anna.contribute(await anna.lease(null, 2));
    await kit.pass(500);
  }
  await ben.lease(null, 2);
  await anna.contribute(await anna.lease(null, 2));
  return kit.records(run);
}

function brokenBy(records: readonly LedgerRecord[]): InvariantName | null {
  try {
    const [first, ...rest] = records;
    const book = new Book(first as LedgerRecord);
    for (const record of rest) book.read(record);
    return null;
  } catch (error) {
    if (error instanceof Violation) return error.invariant;
    throw error;
  }
}

const indexOf = (records: readonly LedgerRecord[], type: LedgerEvent["type"]): number =>
  records.findLastIndex(({ event }) => event.type === type);
const numbered = (records: readonly Pick<LedgerRecord, "event" | "atMs">[]): LedgerRecord[] =>
  records.map(({ event, atMs }, seq) => ({ seq, atMs, event, hash: "0".repeat(64), signature: null }));
const changed = (records: readonly LedgerRecord[], index: number, change: (event: never) => object): LedgerRecord[] =>
  records.map((record, at) =>
    at === index ? { ...record, event: { ...record.event, ...change(record.event as never) } as LedgerEvent } : record,
  );
const followedBy = (records: readonly LedgerRecord[], event: object): LedgerRecord[] =>
  numbered([...records, { event: event as LedgerEvent, atMs: records.at(-1)?.atMs ?? 0 }]);

test("a ledger as it is written breaks nothing", async () => {
  expect(brokenBy(await ledger())).toBeNull();
});

test("each change of it breaks the promise that it is about", async () => {
  const records = await ledger();
  const admitted = indexOf(records, "contribution-admitted");
  const published = indexOf(records, "version-published");
  const opened = indexOf(records, "round-opened");
  const assigned = indexOf(records, "lease-assigned");
  const last = records[admitted]?.event;
  const cases: readonly (readonly [string, InvariantName, LedgerRecord[]])[] = [
    ["a lease is settled twice", "settled-once", numbered([...records, records[admitted] as LedgerRecord])],
    [
      "somebody else's answer is counted",
      "settled-once",
      changed(records, admitted, ({ header }: { header: object }) => ({ header: { ...header, volunteer: "f".repeat(64) } })),
    ],
    [
      "an answer to more samples than were leased",
      "samples-once",
      changed(records, admitted, ({ header }: { header: object }) => ({ header: { ...header, samples: 7 } })),
    ],
    ["a stop names nothing", "accounted-once", followedBy(records, { type: "run-stopped", by: "admin", abandoned: [] })],
    [
      "a version leaves out a contribution",
      "samples-once",
      changed(records, published, ({ contributions }: { contributions: object[] }) => ({ contributions: contributions.slice(1) })),
    ],
    [
      "a version counts other bytes than were admitted",
      "accounted-once",
      changed(records, published, ({ contributions }: { contributions: object[] }) => ({
        contributions: contributions.map((one) => ({ ...one, sha256: "a".repeat(64) })),
      })),
    ],
    ["a version is skipped", "versions-rise-by-one", changed(records, published, () => ({ version: 2 }))],
    ["a round begins elsewhere in the stream", "samples-once", changed(records, opened, () => ({ start: 9 }))],
    [
      "a lease leaves a gap",
      "samples-once",
      changed(records, assigned, ({ start }: { start: number }) => ({ start: start + 1, lease: "1.77" })),
    ],
    ["a record is missing", "ledger-only-grows", records.filter((_, index) => index !== 3)],
    [
      "time goes back",
      "ledger-only-grows",
      records.map((record, index) => (index === 5 ? { ...record, atMs: record.atMs - 1_000_000 } : record)),
    ],
    ["a run is finished too early", "progress", followedBy(records, { type: "run-finished", version: 1 })],
  ];
  expect(last?.type).toBe("contribution-admitted");
  for (const [what, invariant, ledgerOf] of cases) expect(brokenBy(ledgerOf), what).toBe(invariant);
});

test("epochs are checked sample by sample", async () => {
  const created = (await ledger())[0]?.event;
  if (created?.type !== "run-created") throw new Error("no run");
  expect(() => checkEpochs(created.spec, 95, 40)).not.toThrow();
});
