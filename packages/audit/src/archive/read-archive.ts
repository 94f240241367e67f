// Opens an archive from anywhere and believes nothing in it: sizes are bounded and must add up, names come from the table alone, and every
// byte is compared with the hash that covers it. Knows no files and no events.
import { ok, type Result, refuse } from "@weft/protocol";
import { type RunSource, SourceDamaged } from "../run-source.ts";
import {
  ARCHIVE_FORMAT,
  type ArchiveEntry,
  ArchiveTable,
  blobEntry,
  contributionEntry,
  DIGEST_BYTES,
  faultOfEntries,
  LEDGER,
  MAX_FIRST_LINE_BYTES,
  MAX_LINE_BYTES,
  MAX_TABLE_BYTES,
  type MakeHash,
} from "./archive-format.ts";

/** Random access to the file. `read` gives exactly the bytes from `start` to `end`, or rejects. */
export interface ArchiveFile {
  readonly sizeBytes: number;
  read(start: number, end: number): Promise<Uint8Array>;
}
/** One part of the file whose bytes are not those that its hash covers. */
export interface SpoiledPart {
  /** An entry's name, or `digest`. */
  readonly part: string;
  readonly detail: string;
}
export interface OpenedArchive {
  readonly table: ArchiveTable;
  readonly source: RunSource;
  /** Reads the whole file once and compares every entry, and the digest at its end. */
  check(onProgress?: (readBytes: number, sizeBytes: number) => void): Promise<readonly SpoiledPart[]>;
}

const PIECE_BYTES = 1024 * 1024;
const NEWLINE = 10;
const FIRST_LINE = new RegExp(`^${ARCHIVE_FORMAT} ([1-9]\\d{0,8}) ([0-9a-f]{64})$`);

interface Place {
  readonly entry: ArchiveEntry;
  readonly start: number;
}

/** Refuses `damaged` with a sentence that names the part: the first line, the table of contents, or the length. */
export async function openArchive(file: ArchiveFile, makeHash: MakeHash): Promise<Result<OpenedArchive>> {
  const first = await file.read(0, Math.min(file.sizeBytes, MAX_FIRST_LINE_BYTES));
  const newline = first.indexOf(NEWLINE);
  const match = FIRST_LINE.exec(latin1(first.subarray(0, Math.max(0, newline))));
  if (match === null) return refuse("damaged", "This is no archive of a run: its first line is not that of one.");
  const tableBytes = Number(match[1]);
  const tableStart = newline + 1;
  if (tableBytes > MAX_TABLE_BYTES || tableStart + tableBytes + DIGEST_BYTES > file.sizeBytes)
    return refuse("damaged", `The archive's table of contents has ${tableBytes} bytes by its first line, more than the file can hold.`);
  const bytes = await file.read(tableStart, tableStart + tableBytes);
  const hash = makeHash();
  hash.update(bytes);
  if (hash.hex() !== match[2])
    return refuse("damaged", "The archive's table of contents is not the one that its first line names: one of the two was changed.");
  const table = tableOf(bytes);
  if (typeof table === "string") return refuse("damaged", `The archive's table of contents cannot be used: ${table}.`);
  const places = new Map<string, Place>();
  let end = tableStart + tableBytes;
  for (const entry of table.entries) {
    places.set(entry.name, { entry, start: end });
    end += entry.sizeBytes;
  }
  if (end + DIGEST_BYTES !== file.sizeBytes)
    return refuse(
      "damaged",
      `The archive has ${file.sizeBytes} bytes, its table of contents tells of ${end + DIGEST_BYTES}: it was ${file.sizeBytes < end + DIGEST_BYTES ? "cut off" : "lengthened"}.`,
    );
  return ok({ table, source: sourceOf(file, table, places), check: (onProgress) => check(file, makeHash, places, end, onProgress) });
}

function tableOf(bytes: Uint8Array): ArchiveTable | string {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return "it is no JSON";
  }
  const parsed = ArchiveTable.safeParse(value);
  if (!parsed.success) return `it is malformed at ${parsed.error.issues[0]?.path.join(".") || "the top"}`;
  return faultOfEntries(parsed.data.entries) ?? parsed.data;
}

async function check(
  file: ArchiveFile,
  makeHash: MakeHash,
  places: ReadonlyMap<string, Place>,
  end: number,
  onProgress?: (readBytes: number, sizeBytes: number) => void,
): Promise<readonly SpoiledPart[]> {
  const whole = makeHash();
  const spoiled: SpoiledPart[] = [];
  const over = async (start: number, until: number, take: (bytes: Uint8Array) => void): Promise<void> => {
    for (let at = start; at < until; at += PIECE_BYTES) {
      const bytes = await file.read(at, Math.min(until, at + PIECE_BYTES));
      whole.update(bytes);
      take(bytes);
      onProgress?.(at + bytes.length, file.sizeBytes);
    }
  };
  const [firstPlace] = places.values();
  await over(0, firstPlace?.start ?? end, () => undefined);
  for (const { entry, start } of places.values()) {
    const hash = makeHash();
    await over(start, start + entry.sizeBytes, (bytes) => hash.update(bytes));
    const found = hash.hex();
    if (found !== entry.sha256)
      spoiled.push({
        part: entry.name,
        detail: `the part ${entry.name} has the SHA-256 ${found}, not ${entry.sha256}, which the table of contents names`,
      });
  }
  if (whole.hex() !== hex(await file.read(end, end + DIGEST_BYTES)))
    spoiled.push({ part: "digest", detail: "the digest at the archive's end is not that of the bytes before it" });
  return spoiled;
}

function sourceOf(file: ArchiveFile, table: ArchiveTable, places: ReadonlyMap<string, Place>): RunSource {
  const bytesOf = async (name: string): Promise<Uint8Array | null> => {
    const place = places.get(name);
    return place === undefined ? null : file.read(place.start, place.start + place.entry.sizeBytes);
  };
  const ledger = places.get(LEDGER);
  return {
    run: table.run,
    data: table.data,
    async *records(fromSeq = 0) {
      if (ledger === undefined) return;
      let seq = 0;
      for await (const line of linesOf(file, ledger)) {
        if (seq >= fromSeq) yield jsonOf(line);
        seq += 1;
      }
    },
    blob: (sha256) => bytesOf(blobEntry(sha256)),
    contribution: (sha256) => bytesOf(contributionEntry(sha256)),
  };
}

/** Lines without their newline, one in memory at a time; a last line without one is a line too. */
async function* linesOf(file: ArchiveFile, { entry, start }: Place): AsyncGenerator<Uint8Array> {
  const end = start + entry.sizeBytes;
  let rest = new Uint8Array(0);
  for (let at = start; at < end; at += PIECE_BYTES) {
    const piece = await file.read(at, Math.min(end, at + PIECE_BYTES));
    let from = 0;
    for (let newline = piece.indexOf(NEWLINE); newline >= 0; newline = piece.indexOf(NEWLINE, from)) {
      yield joined(rest, piece.subarray(from, newline));
      rest = new Uint8Array(0);
      from = newline + 1;
    }
    rest = joined(rest, piece.subarray(from));
    if (rest.length > MAX_LINE_BYTES) throw new SourceDamaged(`a line of the ledger has more than ${MAX_LINE_BYTES} bytes`);
  }
  if (rest.length > 0) yield rest;
}

const joined = (first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> => {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
};

/** Undefined for what is no JSON: it is then no record either. */
function jsonOf(line: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line));
  } catch {
    return undefined;
  }
}

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
