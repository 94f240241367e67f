// Ledgers as append-only segment files, one folder a run. Knows the order of records and what is on disk; the caller says when to write.
import type { LedgerRecord, RunId } from "@weft/protocol";
import type { Disk, DiskFile } from "./disk.ts";
import { toFault } from "./faults.ts";
import { type Durability, StorageFault } from "./interfaces.ts";
import { type Cursor, diagnose, encodeBatch, linesOf } from "./ledger-lines.ts";
import { markBatch, markLine, type Segment, SegmentReader, type Turn } from "./ledger-segment.ts";

/** Records that may wait for a disk that refuses writes; at 1 KB each, 100 MB. */
const MAX_PENDING_RECORDS = 100_000;
const SEGMENT_NAME = /^(\d{12})\.ndjson$/;

interface Waiter {
  /** The sequence number behind the last record waited for. */
  readonly until: number;
  resolve(): void;
  reject(fault: StorageFault): void;
}
interface RunLedger {
  readonly run: RunId;
  readonly folder: string;
  readonly segments: Segment[];
  /** Sequence number of the first record that is not on disk; `pending` begins there. */
  written: number;
  pending: LedgerRecord[];
  waiters: Waiter[];
  file: DiskFile | null;
  /** Once set, nothing more is written: what the disk holds is no longer known, or is damaged. */
  fault: StorageFault | null;
}
/** What one commit writes of one run. */
interface Batch {
  readonly ledger: RunLedger;
  readonly records: readonly LedgerRecord[];
}

export class LedgerFiles {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #segmentBytes: number;
  readonly #runs = new Map<RunId, RunLedger>();

  constructor(disk: Disk, folder: string, segmentBytes: number) {
    this.#disk = disk;
    this.#folder = folder;
    this.#segmentBytes = segmentBytes;
  }

  /** Looks at the end of every ledger. Gives a sentence for each torn end that was dropped. */
  async recover(isRunId: (name: string) => boolean): Promise<string[]> {
    const sentences: string[] = [];
    for (const run of await this.#disk.list(this.#folder)) if (isRunId(run)) sentences.push(...(await this.#recoverRun(run)));
    return sentences;
  }

  async #recoverRun(run: RunId): Promise<string[]> {
    const ledger = this.#ledger(run);
    for (const name of await this.#disk.list(ledger.folder)) {
      const match = SEGMENT_NAME.exec(name);
      if (match === null) continue;
      const path = `${ledger.folder}/${name}`;
      ledger.segments.push({ path, firstSeq: Number(match[1]), sizeBytes: (await this.#disk.size(path)) ?? 0, marks: [0] });
    }
    const last = ledger.segments.at(-1);
    if (last === undefined) return [];
    const bytes = await this.#disk.readRange(last.path, 0, last.sizeBytes);
    const cursor: Cursor = { scanned: 0, end: 0 };
    for (const line of linesOf(bytes, cursor)) {
      markLine(last, last.firstSeq + cursor.scanned, line.end);
      if ((line.value as LedgerRecord).seq === last.firstSeq + cursor.scanned - 1) continue;
      ledger.fault = damaged(last.path, last.firstSeq + cursor.scanned - 1, "has the wrong number");
      break;
    }
    ledger.written = last.firstSeq + cursor.scanned;
    // A process that was killed may have written what it never synced: it is read from now on, so it must be durable from now on.
    const file = await this.#disk.openAppend(last.path);
    ledger.file = file;
    const sentences: string[] = [];
    if (ledger.fault === null && cursor.end < bytes.length) {
      if (diagnose(bytes, cursor.end) === "damaged") ledger.fault = damaged(last.path, ledger.written, "does not match its checksum");
      else {
        await file.truncate(cursor.end);
        last.sizeBytes = cursor.end;
        sentences.push(
          `The ledger of ${run} ended in an incomplete record (${bytes.length - cursor.end} bytes after record ${ledger.written - 1} in ${last.path}), as a power cut leaves it; it was dropped.`,
        );
      }
    }
    await file.datasync();
    await this.#disk.syncFolder(ledger.folder);
    return sentences;
  }

  #ledger(run: RunId): RunLedger {
    const known = this.#runs.get(run);
    if (known !== undefined) return known;
    const folder = `${this.#folder}/${run}`;
    const ledger: RunLedger = { run, folder, segments: [], written: 0, pending: [], waiters: [], file: null, fault: null };
    this.#runs.set(run, ledger);
    return ledger;
  }

  runs(): RunId[] {
    return [...this.#runs.values()]
      .filter(({ written, pending, fault }) => written + pending.length > 0 || fault !== null)
      .map(({ run }) => run);
  }

  /** Queues at once, in the order of the calls. Resolves when on disk (durable) or at once (buffered). */
  append(run: RunId, records: readonly LedgerRecord[], durability: Durability): Promise<void> {
    const ledger = this.#ledger(run);
    if (ledger.fault !== null) return Promise.reject(ledger.fault);
    let next = ledger.written + ledger.pending.length;
    for (const { seq } of records)
      if (seq !== next++) return Promise.reject(new RangeError(`ledger of ${run}: record ${seq} where ${next - 1} is due`));
    if (ledger.pending.length + records.length > MAX_PENDING_RECORDS)
      return Promise.reject(
        new StorageFault("unavailable", `The ledger of ${run} has ${ledger.pending.length} records waiting for the disk.`),
      );
    ledger.pending.push(...records);
    if (durability === "buffered" || next === ledger.written) return Promise.resolve();
    return new Promise((resolve, reject) => ledger.waiters.push({ until: next, resolve, reject }));
  }

  waits(): boolean {
    return [...this.#runs.values()].some(({ pending, fault }) => pending.length > 0 && fault === null);
  }

  /** What waits now. Taken before the contributions are flushed, so that no record reaches the disk before what it names. */
  take(): Batch[] {
    return [...this.#runs.values()]
      .filter(({ pending, fault }) => pending.length > 0 && fault === null)
      .map((ledger) => ({ ledger, records: [...ledger.pending] }));
  }

  /** Writes and syncs; tells those who wait. Never rejects: a fault goes to the waiters, and to later calls if it is for good. */
  async write({ ledger, records }: Batch): Promise<void> {
    try {
      await this.#writeBatch(ledger, records);
    } catch (error) {
      this.refuse({ ledger, records }, toFault(error, `Writing the ledger of ${ledger.run}`));
      return;
    }
    ledger.pending.splice(0, records.length);
    ledger.written += records.length;
    this.#settle(ledger, ledger.written, (waiter) => waiter.resolve());
  }

  /** The batch stays queued, in order: a later commit that succeeds writes it. Only the promise is withdrawn. */
  refuse({ ledger, records }: Batch, fault: StorageFault): void {
    this.#settle(ledger, ledger.written + records.length, (waiter) => waiter.reject(ledger.fault ?? fault));
  }

  #settle(ledger: RunLedger, until: number, settle: (waiter: Waiter) => void): void {
    const due = ledger.waiters.filter((waiter) => waiter.until <= until);
    ledger.waiters = ledger.waiters.filter((waiter) => waiter.until > until);
    for (const waiter of due) settle(waiter);
  }

  async #writeBatch(ledger: RunLedger, records: readonly LedgerRecord[]): Promise<void> {
    const { segment, file, fresh } = await this.#segmentFor(ledger);
    const bytes = encodeBatch(records);
    try {
      await file.append(bytes);
    } catch (error) {
      // A part may be there. Cut it off, so that the next try begins where this one did; if that fails too, the end is unknown.
      await file.truncate(segment.sizeBytes).catch((second: unknown) => this.#poison(ledger, second));
      throw error;
    }
    try {
      await file.datasync();
      if (fresh) await this.#disk.syncFolder(ledger.folder);
    } catch (error) {
      // After a failed sync the system may have dropped the bytes while a second sync would succeed: nothing can be promised any more.
      this.#poison(ledger, error);
      throw error;
    }
    markBatch(segment, ledger.written, bytes);
    segment.sizeBytes += bytes.length;
  }

  #poison(ledger: RunLedger, error: unknown): void {
    const { code, message } = toFault(error, `Writing the ledger of ${ledger.run}`);
    ledger.fault = new StorageFault(code, `${message} What is on disk is unknown until Weft is started again.`);
  }

  async #segmentFor(ledger: RunLedger): Promise<{ readonly segment: Segment; readonly file: DiskFile; readonly fresh: boolean }> {
    const last = ledger.segments.at(-1);
    if (last !== undefined && ledger.file !== null && (last.sizeBytes === 0 || last.sizeBytes < this.#segmentBytes))
      return { segment: last, file: ledger.file, fresh: last.sizeBytes === 0 };
    if (last === undefined) {
      await this.#disk.makeFolder(ledger.folder);
      await this.#disk.syncFolder(this.#folder);
    }
    const path = `${ledger.folder}/${String(ledger.written).padStart(12, "0")}.ndjson`;
    const file = await this.#disk.openAppend(path);
    await ledger.file?.close();
    ledger.file = file;
    const segment: Segment = { path, firstSeq: ledger.written, sizeBytes: 0, marks: [0] };
    ledger.segments.push(segment);
    return { segment, file, fresh: true };
  }

  /** Those on disk, then those that wait, up to what was appended when reading began. Each look at the disk is taken as a turn. */
  async *read(run: RunId, fromSeq: number, turn: Turn): AsyncGenerator<LedgerRecord> {
    const ledger = this.#runs.get(run);
    if (ledger === undefined) return;
    const end = ledger.written + ledger.pending.length;
    let seq = fromSeq;
    while (seq < Math.min(end, ledger.written)) {
      const at = ledger.segments.findLastIndex(({ firstSeq }) => firstSeq <= seq);
      const segment = ledger.segments[at];
      if (segment === undefined) throw damaged(`${ledger.folder}/`, seq, "is in no file");
      const until = Math.min(end, ledger.written, ledger.segments[at + 1]?.firstSeq ?? end);
      const reader = new SegmentReader(this.#disk, segment, turn);
      for (; seq < until; seq++) yield await this.#recordOf(reader, segment, seq, run);
    }
    if (ledger.fault?.code === "damaged") throw ledger.fault;
    for (; seq < end; seq++) {
      // Meanwhile it may have been written: then it is on disk, and `pending` begins later.
      const waiting = ledger.pending[seq - ledger.written];
      if (waiting === undefined) return yield* this.read(run, seq, turn);
      yield waiting;
    }
  }

  async #recordOf(reader: SegmentReader, segment: Segment, seq: number, run: RunId): Promise<LedgerRecord> {
    let found: LedgerRecord | "bad" | "missing";
    try {
      found = await reader.record(seq);
    } catch (error) {
      throw toFault(error, `Reading the ledger of ${run}`);
    }
    if (found === "missing") throw damaged(segment.path, seq, "is missing");
    if (found === "bad") throw damaged(segment.path, seq, "does not match its checksum");
    if (found.seq !== seq) throw damaged(segment.path, seq, "has the wrong number");
    return found;
  }

  /** A fault if something is still not on disk. */
  async close(): Promise<StorageFault | null> {
    let fault: StorageFault | null = null;
    for (const ledger of this.#runs.values()) {
      if (ledger.pending.length > 0)
        fault = ledger.fault ?? new StorageFault("unavailable", `${ledger.pending.length} records of ${ledger.run} could not be written.`);
      await ledger.file?.close();
    }
    return fault;
  }
}

const damaged = (path: string, seq: number, what: string): StorageFault =>
  new StorageFault("damaged", `${path}: record ${seq} ${what}. The file was changed or the disk is failing; nothing was repaired.`);
