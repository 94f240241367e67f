// The form of a ledger segment: one line a record, `<crc32> <batch mark><json>`. Pure: bytes in, lines and a diagnosis out.
//
// A batch is what one write and one sync put on disk. Its first line is marked "=", the others "+". A power cut can spoil only the last
// batch, and leaves zeros or nothing where bytes did not arrive; everything else that is wrong is damage.
import { crc32 } from "./checksum.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
export const NEWLINE = 10;
const BLANK = 0x20;
const MARK_FIRST = 0x3d;
const MARK_NEXT = 0x2b;
/** Eight digits and a blank. */
const PREFIX_BYTES = 9;

export const encodeBatch = (records: readonly unknown[]): Uint8Array<ArrayBuffer> =>
  encoder.encode(
    records
      .map((record, index) => {
        const body = `${index === 0 ? "=" : "+"}${JSON.stringify(record)}`;
        return `${crc32(encoder.encode(body)).toString(16).padStart(8, "0")} ${body}\n`;
      })
      .join(""),
  );

export interface Line {
  readonly startsBatch: boolean;
  readonly value: unknown;
  /** Offset just behind the line's newline. */
  readonly end: number;
}

/** The line that begins at `start`; null where its newline is missing, its checksum wrong, or it is no JSON. */
export const lineAt = (bytes: Uint8Array, start: number, newline: number): Line | null => {
  if (newline < start + PREFIX_BYTES + 1) return null;
  const body = bytes.subarray(start + PREFIX_BYTES, newline);
  const mark = body[0];
  if (mark !== MARK_FIRST && mark !== MARK_NEXT) return null;
  try {
    const prefix = decoder.decode(bytes.subarray(start, start + PREFIX_BYTES));
    if (prefix !== `${crc32(body).toString(16).padStart(8, "0")} `) return null;
    return { startsBatch: mark === MARK_FIRST, value: JSON.parse(decoder.decode(body.subarray(1))), end: newline + 1 };
  } catch {
    return null;
  }
};

/** Good lines from the beginning up to the first bad one, which `scanned` (from 0) and `end` then point at. */
export interface Cursor {
  scanned: number;
  end: number;
}
export function* linesOf(bytes: Uint8Array, cursor: Cursor): Generator<Line> {
  while (cursor.end < bytes.length) {
    const line = lineAt(bytes, cursor.end, bytes.indexOf(NEWLINE, cursor.end));
    if (line === null) return;
    cursor.scanned++;
    cursor.end = line.end;
    yield line;
  }
}

/** A good line that ends at `newline`, wherever between `start` and there it begins: a spoiled line end hides the line behind it. */
const lineWithin = (bytes: Uint8Array, start: number, newline: number): Line | null => {
  for (let at = start; at + PREFIX_BYTES < newline; at++) {
    if (bytes[at + PREFIX_BYTES - 1] !== BLANK) continue;
    const line = lineAt(bytes, at, newline);
    if (line !== null) return line;
  }
  return null;
};

/**
 * Why the bytes from `badAt` on are bad: `torn` if they can be the rest of a batch that a power cut spoiled, else `damaged`.
 * With no good line behind it, it is the end of the file. With good lines behind it, they must all belong to the same batch, and something
 * must be zeros: flipped bits do not make zeros.
 */
export const diagnose = (bytes: Uint8Array, badAt: number): "torn" | "damaged" => {
  let followers = 0;
  for (let start = badAt; start < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, start);
    if (newline < 0) break;
    const line = lineWithin(bytes, start, newline);
    if (line !== null) {
      if (line.startsBatch) return "damaged";
      followers++;
    }
    start = newline + 1;
  }
  return followers === 0 || bytes.indexOf(0, badAt) >= 0 ? "torn" : "damaged";
};
