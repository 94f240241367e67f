// What a witness knows of one ledger: everything that was written, how far it is on disk, and what somebody was promised. Knows no storage.
import { isDeepStrictEqual } from "node:util";
import { recordHash } from "@weft/ledger";
import type { LedgerRecord } from "@weft/protocol";
import { evolve, foldRun, type RunState } from "@weft/training";
import { type Answer, Book, hold } from "./invariants.ts";

/** One run's ledger as it was written: what memory holds, and how much of it is known to be on disk. */
export class Ledger {
  readonly run: string;
  records: LedgerRecord[] = [];
  book: Book;
  state: RunState;
  /** Records acknowledged as durable, and those that were on disk at the last opening. */
  durable = 0;
  /** From here on storage has refused records; they may be on disk all the same. */
  refusedFrom = Number.POSITIVE_INFINITY;
  /** Answers that were acknowledged; they outlive every crash. */
  readonly acknowledged = new Map<string, Answer & { readonly sha256: string }>();

  constructor(run: string, first: LedgerRecord) {
    this.run = run;
    this.records = [first];
    this.book = new Book(first);
    this.state = foldRun([first]) as RunState;
  }

  append(record: LedgerRecord): void {
    this.records.push(record);
    this.book.read(record);
    this.state = evolve(this.state, record.event, record.atMs);
  }

  /** The ledger was read from its first record on, after a crash or a fault: what it held beyond that is gone. */
  reread(records: readonly LedgerRecord[]): void {
    hold(
      "ledger-only-grows",
      records.length >= this.durable,
      () => `${this.run}: ${records.length} records are left of ${this.durable} that were on disk`,
    );
    let hash = "0".repeat(64);
    for (const [seq, record] of records.entries()) {
      const known = this.records[seq];
      hold("ledger-only-grows", known === undefined || known.hash === record.hash, () => `${this.run}: record ${seq} has changed`);
      hold(
        "ledger-only-grows",
        record.hash === recordHash(hash, seq, record.atMs, record.event),
        () => `${this.run}: record ${seq} does not follow from the one before`,
      );
      hash = record.hash;
    }
    const whole = foldRun(records);
    hold("fold-is-state", whole !== null, () => `${this.run}: the ledger is empty`);
    if (records.length === this.records.length)
      hold(
        "fold-is-state",
        isDeepStrictEqual(whole, this.state),
        () => `${this.run}: folded at once it is another state than folded as it came`,
      );
    const book = new Book(records[0] as LedgerRecord);
    for (const record of records.slice(1)) book.read(record);
    this.records = [...records];
    this.refusedFrom = Number.POSITIVE_INFINITY;
    this.book = book;
    this.state = whole;
    for (const [key, { sha256 }] of this.acknowledged)
      hold("acknowledged-survives", book.admitted.get(key)?.sha256 === sha256, () => `${this.run}: the acknowledged answer ${key} is gone`);
  }

  isOnDisk(seq: number): boolean {
    return seq < this.durable;
  }
}
