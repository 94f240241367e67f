// Writes a run as one file. Bytes are fetched once, checked, and laid into a spool; the table that stands before them is made when all is known.
// A running run is caught at one record: the ledger is read on until everything that it names is there or was given up by then. Knows no files.
import { canonicalBytes, canonicalJson } from "@weft/ledger";
import { type DatasetManifest, LedgerRecord, type RunSpec, type Sha256 } from "@weft/protocol";
import { manifestOf } from "../manifest.ts";
import { CountedIn, capital, type NamedBytes, namedBytes, shardsOf } from "../named-bytes.ts";
import { mayBeGone } from "../retention.ts";
import type { RunSource } from "../run-source.ts";
import {
  ARCHIVE_FORMAT,
  type ArchiveEntry,
  type ArchiveTable,
  blobEntry,
  contributionEntry,
  LEDGER,
  MAX_TABLE_BYTES,
  type MakeHash,
} from "./archive-format.ts";

/** Where the entries' bytes lie until the table is known. */
export interface ArchiveSpool {
  append(bytes: Uint8Array): Promise<unknown>;
  read(start: number, end: number): Promise<Uint8Array>;
}
export interface WriteArchiveOptions {
  readonly source: RunSource;
  readonly withData: boolean;
  readonly spool: ArchiveSpool;
  /** Takes the archive piece by piece. */
  readonly append: (bytes: Uint8Array) => Promise<unknown>;
  readonly makeHash: MakeHash;
  /** How much has been fetched so far. */
  readonly onProgress?: (progress: { readonly records: number; readonly entries: number; readonly sizeBytes: number }) => void;
}
export interface WrittenArchive {
  readonly table: ArchiveTable;
  readonly sizeBytes: number;
  readonly sha256: Sha256;
  readonly contributions: number;
  /** Contributions that the run has given up. */
  readonly givenUp: number;
}

/** What keeps a run from being archived whole; the message is a sentence. */
export class NotWhole extends Error {
  constructor(message: string) {
    super(message);
    this.name = "NotWhole";
  }
}

const COPY_BYTES = 1024 * 1024;
/** Ledger lines are handed on in pieces of about this size. */
const LINES_BYTES = 256 * 1024;
/** A run that moves on while it is read gives contributions up; so often the reading catches up with it. */
const MAX_TURNS = 20;

/** Rejects with NotWhole where something that the ledger names and keeps is missing or has other bytes: such a run is for `verify`. */
export async function writeArchive(options: WriteArchiveOptions): Promise<WrittenArchive> {
  const { source, withData, spool, makeHash } = options;
  const collector = new Collector(options);
  await collector.catchUp();
  if (withData) await collector.shards();
  const ledger = await collector.ledger();
  const { entries, head, givenUp } = collector;
  const table: ArchiveTable = {
    about: ABOUT,
    format: ARCHIVE_FORMAT,
    run: source.run,
    head,
    data: withData ? "included" : "left-out",
    entries: [...entries, ledger],
  };
  const tableBytes = canonicalBytes(table);
  if (tableBytes.length > MAX_TABLE_BYTES) throw new NotWhole(`The run names ${table.entries.length} things, more than an archive lists.`);
  const digest = makeHash();
  let sizeBytes = 0;
  const out = async (bytes: Uint8Array): Promise<void> => {
    digest.update(bytes);
    sizeBytes += bytes.length;
    await options.append(bytes);
  };
  await out(new TextEncoder().encode(`${ARCHIVE_FORMAT} ${tableBytes.length} ${hashOf(makeHash, tableBytes)}\n`));
  await out(tableBytes);
  for (let at = 0; at < collector.spooled; at += COPY_BYTES) await out(await spool.read(at, Math.min(collector.spooled, at + COPY_BYTES)));
  const sha256 = digest.hex();
  const last = Uint8Array.from({ length: 32 }, (_, at) => Number.parseInt(sha256.slice(2 * at, 2 * at + 2), 16));
  await options.append(last);
  return {
    table,
    sizeBytes: sizeBytes + last.length,
    sha256,
    contributions: entries.filter(({ name }) => name.startsWith("contribution-")).length,
    givenUp,
  };
}

const ABOUT =
  "A training run of Weft: its ledger, specification, data manifest, the weights of every version and what volunteers contributed. " +
  "`weft verify FILE` checks every signature and every byte, `weft replay FILE` computes the weights again, `weft runs import FILE` goes on training.";

const hashOf = (makeHash: MakeHash, bytes: Uint8Array): Sha256 => {
  const hash = makeHash();
  hash.update(bytes);
  return hash.hex();
};

class Collector {
  readonly entries: ArchiveEntry[] = [];
  readonly #options: WriteArchiveOptions;
  readonly #seen = new Set<string>();
  /** By entry name; the same bytes named again count for the newest version that needs them. */
  readonly #waiting = new Map<string, NamedBytes>();
  readonly #missing = new Map<string, NamedBytes>();
  readonly #countedIn = new CountedIn();
  #head: ArchiveTable["head"] | null = null;
  #newest = 0;
  #spec: RunSpec | null = null;
  #manifest: DatasetManifest | null = null;
  spooled = 0;

  constructor(options: WriteArchiveOptions) {
    this.#options = options;
  }

  get head(): ArchiveTable["head"] {
    if (this.#head === null) throw new NotWhole("The ledger is empty.");
    return this.#head;
  }
  get givenUp(): number {
    return this.#missing.size;
  }

  /** Reads on and fetches until nothing is missing but what the run had given up at the last record read. */
  async catchUp(): Promise<void> {
    for (let turn = 0; turn < MAX_TURNS; turn += 1) {
      await this.#readOn();
      for (const [name, named] of this.#waiting) if (!(await this.#fetch(named))) this.#missing.set(name, named);
      this.#waiting.clear();
      const lost = [...this.#missing.values()].find((named) => !this.#mayBeGone(named));
      if (lost === undefined) return;
      if (lost.kind === "blob" || turn === MAX_TURNS - 1) throw new NotWhole(`${capital(lost.what)} is missing (${lost.sha256}).`);
    }
  }

  #mayBeGone(named: NamedBytes): boolean {
    const version = this.#countedIn.versionOf(named);
    return version !== null && this.#spec !== null && mayBeGone(this.#spec, version, this.#newest);
  }

  async #readOn(): Promise<void> {
    for await (const raw of this.#options.source.records((this.#head?.seq ?? -1) + 1)) {
      const { seq, hash, event } = recordOf(raw, (this.#head?.seq ?? -1) + 1);
      this.#head = { seq, hash };
      if (event.type === "run-created") this.#spec = event.spec;
      if (event.type === "version-published" || event.type === "run-rolled-back") this.#newest = event.version;
      this.#countedIn.apply(event);
      for (const named of namedBytes(event)) this.#want(named);
    }
  }

  #want(named: NamedBytes): void {
    const name = nameOf(named);
    const known = [this.#waiting, this.#missing].find((names) => names.has(name));
    if (known !== undefined) known.set(name, named);
    else if (!this.#seen.has(name)) this.#waiting.set(name, named);
    this.#seen.add(name);
  }

  async shards(): Promise<void> {
    if (this.#manifest === null) throw new NotWhole("The data set's manifest is no manifest.");
    for (const named of shardsOf(this.#manifest)) {
      if (this.#seen.has(nameOf(named))) continue;
      this.#seen.add(nameOf(named));
      if (!(await this.#fetch(named)))
        throw new NotWhole(`${capital(named.what)} is missing (${named.sha256}). Leave the data out with --without-data.`);
    }
  }

  async #fetch(named: NamedBytes): Promise<boolean> {
    const { source, makeHash, onProgress } = this.#options;
    const bytes = named.kind === "blob" ? await source.blob(named.sha256) : await source.contribution(named.sha256);
    if (bytes === null) return false;
    if (hashOf(makeHash, bytes) !== named.sha256) throw new NotWhole(`${capital(named.what)} has other bytes than ${named.sha256}.`);
    if (named.what === "the data set's manifest") this.#manifest = manifestOf(bytes);
    await this.#append(bytes);
    this.entries.push({ name: nameOf(named), sha256: named.sha256, sizeBytes: bytes.length });
    onProgress?.({ records: this.head.seq + 1, entries: this.entries.length, sizeBytes: this.spooled });
    return true;
  }

  async #append(bytes: Uint8Array): Promise<void> {
    await this.#options.spool.append(bytes);
    this.spooled += bytes.length;
  }

  /** The ledger as it was read, up to the head: canonical JSON, a record a line. */
  async ledger(): Promise<ArchiveEntry> {
    const { source, makeHash } = this.#options;
    const { head } = this;
    const hash = makeHash();
    const encoder = new TextEncoder();
    let [sizeBytes, text, next] = [0, "", 0];
    const flush = async (): Promise<void> => {
      const bytes = encoder.encode(text);
      text = "";
      hash.update(bytes);
      sizeBytes += bytes.length;
      await this.#append(bytes);
    };
    for await (const raw of source.records()) {
      const record = recordOf(raw, next);
      next += 1;
      text += `${canonicalJson(record)}\n`;
      if (text.length >= LINES_BYTES) await flush();
      if (record.seq < head.seq) continue;
      if (record.hash !== head.hash) throw new NotWhole(`Record ${record.seq} was another when it was read again.`);
      break;
    }
    await flush();
    if (next !== head.seq + 1) throw new NotWhole(`The ledger ended at record ${next - 1} when it was read again; it had ${head.seq + 1}.`);
    return { name: LEDGER, sha256: hash.hex(), sizeBytes };
  }
}

const nameOf = ({ kind, sha256 }: NamedBytes): string => (kind === "blob" ? blobEntry(sha256) : contributionEntry(sha256));

function recordOf(raw: unknown, due: number): LedgerRecord {
  const parsed = LedgerRecord.safeParse(raw);
  if (parsed.success && parsed.data.seq === due) return parsed.data;
  throw new NotWhole(`Record ${due} of the ledger is not one.`);
}
