// The form of a run's archive, one file that anybody can keep, pass on and check:
//
//   weft-archive/1 <bytes of the table> <SHA-256 of the table>\n
//   the table of contents: canonical JSON, every entry with its name, length and SHA-256
//   the entries' bytes, in the table's order, without a gap
//   SHA-256 of everything before, 32 bytes
//
// No byte stands outside a hash, so one changed byte is always found. Knows no files and no ledger.
import { RunId, Sha256 } from "@weft/protocol";
import * as z from "zod/mini";

export const ARCHIVE_FORMAT = "weft-archive/1";
/** The first line: format, nine digits at most, hash. */
export const MAX_FIRST_LINE_BYTES = ARCHIVE_FORMAT.length + 1 + 9 + 1 + 64 + 1;
/** Room for a million entries. */
export const MAX_TABLE_BYTES = 256 * 1024 ** 2;
const MAX_ENTRIES = 1_000_000;
/** A blob is read whole: the optimiser's state of the largest model is 800 MB. */
export const MAX_ENTRY_BYTES = 1024 ** 3;
/** A ledger is read line by line. */
const MAX_LEDGER_BYTES = 64 * 1024 ** 3;
/** One record: a version made of 100,000 contributions has 25 MB. */
export const MAX_LINE_BYTES = 64 * 1024 ** 2;
export const DIGEST_BYTES = 32;

/** The ledger, or bytes by hash. No other name is read: an archive holds no paths. */
const EntryName = z.string().check(z.regex(/^(?:ledger\.ndjson|(?:blob|contribution)-[0-9a-f]{64})$/));
export const LEDGER = "ledger.ndjson";
export const blobEntry = (sha256: Sha256): string => `blob-${sha256}`;
export const contributionEntry = (sha256: Sha256): string => `contribution-${sha256}`;

const ArchiveEntry = z.strictObject({
  name: EntryName,
  sha256: Sha256,
  sizeBytes: z.int().check(z.gte(0), z.lte(MAX_LEDGER_BYTES)),
});
export type ArchiveEntry = z.infer<typeof ArchiveEntry>;

export const ArchiveTable = z.strictObject({
  /** For a person who looks at the file's beginning. */
  about: z.string().check(z.maxLength(2_000)),
  format: z.literal(ARCHIVE_FORMAT),
  run: RunId,
  /** The last record that the archive holds. */
  head: z.strictObject({ seq: z.int().check(z.gte(0)), hash: Sha256 }),
  /** Whether the data set's shards are in it; their hashes stand in the manifest, which always is. */
  data: z.enum(["included", "left-out"]),
  entries: z.array(ArchiveEntry).check(z.minLength(1), z.maxLength(MAX_ENTRIES)),
});
export type ArchiveTable = z.infer<typeof ArchiveTable>;

/** What is wrong with the names of a table, as a sentence; null where they are as they must be. */
export function faultOfEntries(entries: readonly ArchiveEntry[]): string | null {
  const names = new Set<string>();
  for (const { name, sha256, sizeBytes } of entries) {
    if (names.has(name)) return `it names ${name} twice`;
    names.add(name);
    if (name === LEDGER) continue;
    if (!name.endsWith(`-${sha256}`)) return `${name} is listed with another hash than its name's`;
    if (sizeBytes > MAX_ENTRY_BYTES) return `${name} has ${sizeBytes} bytes; at most ${MAX_ENTRY_BYTES} are read`;
  }
  return names.has(LEDGER) ? null : "it names no ledger";
}

/** SHA-256 piece by piece; the platform's own where it is faster. */
export interface IncrementalHash {
  update(bytes: Uint8Array): unknown;
  /** 64 lower-case hexadecimal digits; called once. */
  hex(): Sha256;
}
export type MakeHash = () => IncrementalHash;
