// Opens the SQLite file of accounts and sessions through Kysely, or says in one sentence why not. Knows none of its tables.
import { Kysely, type SqliteDatabase, SqliteDialect } from "kysely";
import Database from "libsql";
import { StorageFault } from "./interfaces.ts";

/** How long a statement waits for another connection's write before it fails. */
const BUSY_MS = 5_000;

/**
 * `file` is a path or ":memory:". Rejects with a StorageFault: `damaged` for a file that is no database or fails SQLite's own check,
 * `unavailable` for one that cannot be opened or written. Close with `destroy()`.
 */
export const openDatabase = async <Tables>(file: string): Promise<Kysely<Tables>> => {
  let database: InstanceType<typeof Database> | null = null;
  try {
    database = new Database(file, { timeout: BUSY_MS });
    // Write-ahead logging lets readers go on while somebody signs in; FULL syncs each commit, so a password that was set stays set.
    database.pragma("journal_mode = WAL");
    database.pragma("synchronous = FULL");
    database.pragma("foreign_keys = ON");
    const [first] = database.prepare("PRAGMA quick_check(1)").all() as { readonly quick_check?: string }[];
    if (first?.quick_check !== "ok") throw new StorageFault("damaged", damagedSentence(file, first?.quick_check ?? "no answer"));
    return new Kysely<Tables>({ dialect: new SqliteDialect({ database: database as unknown as SqliteDatabase }) });
  } catch (error) {
    database?.close();
    throw faultOf(error, file);
  }
};

const damagedSentence = (file: string, detail: string): string =>
  `The accounts database ${file} is damaged (${detail}). Restore it from a backup, or move it away to begin with new accounts; runs are not in it.`;

const faultOf = (error: unknown, file: string): StorageFault => {
  if (error instanceof StorageFault) return error;
  const detail = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (/^SQLITE_(NOTADB|CORRUPT)/.test(code) || /not a database|malformed/i.test(detail))
    return new StorageFault("damaged", damagedSentence(file, detail));
  if (/^SQLITE_FULL/.test(code)) return new StorageFault("disk-full", `The disk is full: ${file} could not be written.`);
  return new StorageFault("unavailable", `The accounts database ${file} cannot be opened (${detail}).`);
};
