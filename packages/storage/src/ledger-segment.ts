// One ledger segment as it is read: from near the record that is wanted, a piece at a time, so that a short read costs little and no
// reader holds a whole segment. Knows the lines; what their records mean, and where a ledger ends, is the caller's.
import type { LedgerRecord } from "@weft/protocol";
import type { Disk } from "./disk.ts";
import { lineAt, NEWLINE } from "./ledger-lines.ts";

export interface Segment {
  readonly path: string;
  readonly firstSeq: number;
  sizeBytes: number;
  /**
   * Byte offset of every MARK_EVERY-th record, from the first one on without gaps. Made while records are written or passed over, so it
   * may end before the segment does. One number for 64 records: about 250 KB for a ledger of 1 GB.
   */
  readonly marks: number[];
}
/** Does one look at the disk when it is the reader's turn. */
export type Turn = <T>(look: () => Promise<T>) => Promise<T>;

/** Records that are passed over, without being parsed, are fewer than this once the place is marked. */
export const MARK_EVERY = 64;
/** A first look of about a hundred records; later ones grow, so that reading a whole ledger opens the file less often. */
const FIRST_LOOK_BYTES = 32 * 1024;
const MAX_LOOK_BYTES = 128 * 1024;

/** Notes that record `seq` begins at `offset`, if that is the next mark. */
export const markLine = ({ firstSeq, marks }: Segment, seq: number, offset: number): void => {
  if (seq - firstSeq === marks.length * MARK_EVERY) marks.push(offset);
};

/** Notes the lines of a batch that was written at the segment's end and begins with record `seq`. */
export const markBatch = (segment: Segment, seq: number, bytes: Uint8Array): void => {
  let next = seq;
  for (let start = 0; start < bytes.length; start = bytes.indexOf(NEWLINE, start) + 1) markLine(segment, next++, segment.sizeBytes + start);
};

export class SegmentReader {
  readonly #disk: Disk;
  readonly #segment: Segment;
  readonly #turn: Turn;
  /** The record that begins at byte `#at` of `#bytes`, which lie in the file from `#offset` on. */
  #next = -1;
  #bytes = new Uint8Array(0);
  #offset = 0;
  #at = 0;
  #lookBytes = FIRST_LOOK_BYTES;

  constructor(disk: Disk, segment: Segment, turn: Turn) {
    this.#disk = disk;
    this.#segment = segment;
    this.#turn = turn;
  }

  /** Ask in rising order. Lines before the first one asked for are only counted, not checked. */
  async record(seq: number): Promise<LedgerRecord | "bad" | "missing"> {
    if (this.#next < 0) this.#seek(seq);
    for (;;) {
      const newline = await this.#lineEnd();
      if (newline < 0) return newline === ENDS_HERE ? "missing" : "bad";
      const start = this.#at;
      markLine(this.#segment, this.#next, this.#offset + start);
      this.#at = newline + 1;
      if (this.#next++ === seq) return (lineAt(this.#bytes, start, newline)?.value as LedgerRecord | undefined) ?? "bad";
    }
  }

  #seek(seq: number): void {
    const { firstSeq, marks } = this.#segment;
    const mark = Math.min(marks.length - 1, Math.floor((seq - firstSeq) / MARK_EVERY));
    this.#next = firstSeq + mark * MARK_EVERY;
    this.#offset = marks[mark] ?? 0;
  }

  /** Place of the newline that ends the line at `#at`; looks further where it is not in memory yet. */
  async #lineEnd(): Promise<number> {
    for (let from = this.#at; ; ) {
      const newline = this.#bytes.indexOf(NEWLINE, from);
      if (newline >= 0) return newline;
      const rest = this.#bytes.slice(this.#at);
      this.#offset += this.#at;
      this.#at = 0;
      from = rest.length;
      const start = this.#offset + rest.length;
      const end = Math.min(this.#segment.sizeBytes, start + this.#lookBytes);
      const more = end > start ? await this.#turn(() => this.#disk.readRange(this.#segment.path, start, end)) : new Uint8Array(0);
      this.#bytes = joined(rest, more);
      if (more.length === 0) return rest.length === 0 ? ENDS_HERE : ENDS_IN_A_LINE;
      // A line longer than a look doubles it too, so that it is not copied many times.
      this.#lookBytes = Math.max(Math.min(2 * this.#lookBytes, MAX_LOOK_BYTES), rest.length);
    }
  }
}

const ENDS_HERE = -1;
const ENDS_IN_A_LINE = -2;

const joined = (first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> => {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
};
