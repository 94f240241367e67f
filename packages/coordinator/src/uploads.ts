// Contributions on their way in: chunks are put in order in a spool, the whole is inspected, stored and handed to its run, and the verdict
// is kept for a sender that lost its acknowledgement. Knows neither sockets nor the rules by which a run admits.
import {
  type AssignmentEnd,
  CHUNK_BYTES,
  CHUNK_WINDOW,
  type ChunkHeader,
  type ChunkReply,
  type ContributionHeader,
  type ContributionOpened,
  type ErrorCode,
  MAX_OPEN_ASSIGNMENTS,
  ok,
  type Refusal,
  type Result,
  refuse,
  type Signature,
} from "@weft/protocol";
import { leaseBase } from "@weft/training";
import type { UploadSpool } from "./api.ts";
import type { Counters } from "./counters.ts";
import { KEPT_VERDICTS, UPLOAD_IDLE_MS } from "./limits.ts";
import type { Inspection } from "./ports.ts";
import { type PlaceLimits, UploadPlaces } from "./upload-places.ts";

/** What becomes of a whole upload; the run's side of it. */
export interface UploadSink {
  /** Inspects what lies in the spool under `name` and stores it if it is a contribution. A refusal says that it could not be stored. */
  takeIn(name: string, header: ContributionHeader): Promise<Result<Inspection>>;
  /** Offers the stored contribution to its run, and answers with the verdict after it is on disk. */
  admit(header: ContributionHeader, signature: Signature, norm: number): Promise<Result<ChunkReply>>;
  /** Tells the run that a whole upload was no contribution; gives what the sender shall hear. */
  spoiled(header: ContributionHeader, code: ErrorCode, detail: string): Promise<Refusal>;
}

interface Upload {
  readonly name: string;
  readonly key: string;
  readonly header: ContributionHeader;
  readonly signature: Signature;
  readonly chunks: number;
  address: string;
  nextChunk: number;
  received: number;
  /** All bytes are here and were not yet decided on; the last chunk sent again asks for the decision. */
  whole: boolean;
  /** Chunks of one upload are handled one after another. */
  turn: Promise<unknown>;
  /** When bytes last came. */
  touchedMs: number;
  /** Bytes held against the cap: what was received, and a window more while it may send. */
  reserved: number;
  /** Why it was given up; null while it was not. */
  dropped: Refusal | null;
}

/** What became of an upload, for who asks again. */
interface Kept {
  readonly volunteer: string;
  readonly chunks: number;
  /** Null: nothing was decided on, and the same bytes may be sent again from the first on. */
  readonly sha256: string | null;
  readonly verdict: Result<ChunkReply>;
}

export interface UploadLimits extends PlaceLimits {
  readonly spoolBytes: number;
}

const WINDOW_BYTES = CHUNK_WINDOW * CHUNK_BYTES;

const keyOf = ({ run, lease, attempt }: Pick<ChunkHeader, "run" | "lease" | "attempt">): string => `${run}.${lease}.${attempt}`;

/** Refusals after which the same bytes may yet be admitted: they stay where they are. */
const isPassing = (code: ErrorCode): boolean => code === "unavailable" || code === "disk-full" || code === "internal";

const GIVEN_UP = refuse("unknown-upload", "the upload was given up");
const CROWDED_OUT = refuse("spool-full", "what had come of this upload was given up to make room; send it again", 1_000);

export class Uploads {
  /** Those not decided on, by run and then by key. */
  readonly #uploads = new Map<string, Map<string, Upload>>();
  /** The newest verdicts, oldest first. */
  readonly #kept = new Map<string, Kept>();
  /** Chunks being answered and names being forgotten. */
  readonly #busy = new Set<Promise<unknown>>();
  readonly #places: UploadPlaces;
  readonly #spool: UploadSpool;
  readonly #sink: UploadSink;
  readonly #counters: Counters;
  readonly #capBytes: number;
  readonly #now: () => number;
  #reserved = 0;
  #opened = 0;

  constructor(spool: UploadSpool, sink: UploadSink, counters: Counters, limits: UploadLimits, now: () => number) {
    this.#spool = spool;
    this.#sink = sink;
    this.#counters = counters;
    this.#capBytes = limits.spoolBytes;
    this.#now = now;
    this.#places = new UploadPlaces(limits, (key) => this.#lostPlace(key));
  }

  get reservedBytes(): number {
    return this.#reserved;
  }
  /** Uploads that are neither decided on nor given up, and verdicts kept. */
  get sizes(): { readonly uploads: number; readonly verdicts: number } {
    return { uploads: [...this.#all()].length, verdicts: this.#kept.size };
  }

  /**
   * The header's signature, length and assignment are already checked. The same header again resumes where the bytes ended. Refused with the
   * time to wait where too many send already: nothing is kept of it then but its turn.
   */
  open(header: ContributionHeader, signature: Signature, address: string): Result<ContributionOpened> {
    const key = keyOf(header);
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.sha256 === header.sha256) return ok({ nextChunk: kept.chunks - 1 });
    if (kept?.sha256 != null && kept.verdict.ok) return refuse("duplicate", "another update was admitted for this assignment");
    let upload = this.#find(key, header.run);
    if (upload !== undefined && upload.header.sha256 !== header.sha256) {
      if (upload.whole) return refuse("duplicate", "another update of this assignment is being decided on");
      this.#drop(upload, GIVEN_UP);
      upload = undefined;
    }
    if (upload?.whole) return ok({ nextChunk: upload.chunks - 1 });
    if (upload !== undefined) upload.address = address;
    const waitMs = this.#places.take(key, address, header.sizeBytes, this.#now());
    if (waitMs > 0) return this.#crowded(waitMs);
    upload ??= this.#begin(key, header, signature, address);
    if (!this.#reserveWindow(upload)) return this.#full(upload);
    this.#kept.delete(key);
    return ok({ nextChunk: upload.nextChunk });
  }

  #begin(key: string, header: ContributionHeader, signature: Signature, address: string): Upload {
    this.#opened += 1;
    const upload: Upload = {
      name: `${key}.${this.#opened}`,
      key,
      header,
      signature,
      chunks: Math.ceil(header.sizeBytes / CHUNK_BYTES),
      address,
      nextChunk: 0,
      received: 0,
      whole: false,
      turn: Promise.resolve(),
      touchedMs: this.#now(),
      reserved: 0,
      dropped: null,
    };
    // One more than a key can use takes the place of the one that it has not touched for longest.
    const own = [...this.#all()].filter((other) => other.header.volunteer === header.volunteer && !other.whole);
    own.sort((a, b) => a.touchedMs - b.touchedMs);
    for (const old of own.slice(0, Math.max(0, own.length - MAX_OPEN_ASSIGNMENTS + 1))) this.#crowdOut(old);
    const ofRun = this.#uploads.get(header.run) ?? new Map<string, Upload>();
    this.#uploads.set(header.run, ofRun.set(key, upload));
    return upload;
  }

  /** An admission that is older than this object (before a restart), or than what is kept: the sender asks again and gets its verdict. */
  remember(header: ContributionHeader, verdict: Result<ChunkReply>): ContributionOpened {
    const chunks = Math.ceil(header.sizeBytes / CHUNK_BYTES);
    this.#keep(keyOf(header), { volunteer: header.volunteer, chunks, sha256: header.sha256, verdict });
    return { nextChunk: chunks - 1 };
  }

  async chunk(volunteer: string, chunk: ChunkHeader, payload: Uint8Array): Promise<Result<ChunkReply>> {
    const key = keyOf(chunk);
    const upload = this.#find(key, chunk.run);
    const owner = upload?.header.volunteer ?? this.#kept.get(key)?.volunteer;
    if (owner === undefined) return refuse("unknown-upload", `no upload of lease ${chunk.lease} was opened`);
    if (owner !== volunteer) return refuse("not-your-lease", `lease ${chunk.lease} attempt ${chunk.attempt} is another's`);
    if (upload === undefined) return this.#kept.get(key)?.verdict ?? GIVEN_UP;
    const reply = upload.turn.then(() => this.#receive(upload, chunk.index, payload));
    upload.turn = this.#whileBusy(reply.catch(() => undefined));
    return reply;
  }

  /** The assignment is over. Where a late answer still counts, what has come of it stays, and more may come. */
  end(run: string, lease: string, attempt: number, reason: AssignmentEnd): void {
    const upload = this.#find(keyOf({ run, lease, attempt }), run);
    if (upload === undefined || upload.whole) return;
    if (reason === "blocked") this.#give(upload, refuse("blocked", "this volunteer is blocked by the run's administrator"));
    else if ((reason !== "expired" && reason !== "left") || upload.received === 0) this.#drop(upload, GIVEN_UP);
    else if (reason === "left") this.#rest(upload);
  }

  /** A version was made: unfinished answers to what came before it are of no use. */
  endRound(run: string, version: number): void {
    for (const upload of this.#ofRun(run)) if (leaseBase(upload.header.lease) < version) this.#endReceiving(upload);
  }

  /** The run takes nothing more (`over`), or is paused, perhaps for days: then what nobody is sending is given up. */
  endRun(run: string, over: boolean): void {
    for (const upload of this.#ofRun(run)) if (over || !this.#places.holds(upload.key)) this.#endReceiving(upload);
  }

  #endReceiving(upload: Upload): void {
    if (!upload.whole) this.#drop(upload, GIVEN_UP);
  }

  /** Forgets uploads of which nothing has come for long. */
  sweep(): void {
    const before = this.#now() - UPLOAD_IDLE_MS;
    for (const upload of [...this.#all()]) if (upload.touchedMs < before) this.#drop(upload, GIVEN_UP);
  }

  /** Resolves when every chunk that has arrived is answered. */
  async idle(): Promise<void> {
    while (this.#busy.size > 0) await Promise.all(this.#busy);
  }

  async #receive(upload: Upload, index: number, payload: Uint8Array): Promise<Result<ChunkReply>> {
    const last = upload.chunks - 1;
    if (upload.dropped !== null) return this.#kept.get(upload.key)?.verdict ?? upload.dropped;
    if (upload.whole) {
      if (index !== last) return refuse("bad-chunk", `expected chunk ${last}, got ${index}`);
      upload.touchedMs = this.#now();
      return this.#finish(upload);
    }
    if (index !== upload.nextChunk) return refuse("bad-chunk", `expected chunk ${upload.nextChunk}, got ${index}`);
    const expected = index === last ? upload.header.sizeBytes - last * CHUNK_BYTES : CHUNK_BYTES;
    if (payload.length !== expected) return refuse("wrong-length", `chunk ${index} has ${payload.length} bytes, expected ${expected}`);
    const waitMs = this.#places.take(upload.key, upload.address, upload.header.sizeBytes, this.#now());
    if (waitMs > 0) return this.#crowded(waitMs);
    if (!this.#reserveWindow(upload)) return this.#full(upload);
    await this.#spool.append(upload.name, payload);
    if (upload.dropped !== null) return upload.dropped;
    this.#counters.add("bytes.in", payload.length);
    upload.nextChunk += 1;
    upload.received += payload.length;
    upload.touchedMs = this.#now();
    this.#places.progress(upload.key, upload.touchedMs);
    if (index < last) return ok({ kind: "received", nextChunk: upload.nextChunk });
    upload.whole = true;
    this.#rest(upload);
    return this.#finish(upload);
  }

  async #finish(upload: Upload): Promise<Result<ChunkReply>> {
    const { header, signature } = upload;
    const taken = await this.#sink.takeIn(upload.name, header);
    if (!taken.ok) return taken;
    const found = taken.value;
    if (!found.ok) {
      const refusal = await this.#sink.spoiled(header, found.code, found.detail);
      this.#drop(upload, refusal);
      return refusal;
    }
    const verdict = await this.#sink.admit(header, signature, found.norm);
    if (!verdict.ok && isPassing(verdict.code)) return verdict;
    this.#keep(upload.key, { volunteer: header.volunteer, chunks: upload.chunks, sha256: header.sha256, verdict });
    this.#drop(upload, GIVEN_UP);
    return verdict;
  }

  #crowded(waitMs: number): Refusal {
    return refuse("unavailable", "as many uploads as the coordinator takes at once are arriving; this one's turn comes", waitMs);
  }

  #full(upload: Upload): Refusal {
    if (upload.received === 0) this.#drop(upload, GIVEN_UP);
    else this.#rest(upload);
    return refuse("spool-full", `uploads of ${this.#reserved} bytes are under way; the cap is ${this.#capBytes}`, 5_000);
  }

  /** Reserves what the next window brings; where the cap is reached, those make room that have the least, at rest before sending ones. */
  #reserveWindow(upload: Upload): boolean {
    const wanted = Math.min(upload.header.sizeBytes, upload.received + WINDOW_BYTES);
    const more = wanted - upload.reserved;
    while (this.#reserved + more > this.#capBytes) {
      let least: Upload | null = null;
      for (const other of this.#all()) {
        if (other === upload || other.whole) continue;
        if (least === null || this.#rank(other) < this.#rank(least)) least = other;
      }
      if (least === null || (this.#places.holds(least.key) && least.received >= upload.received)) return false;
      this.#crowdOut(least);
    }
    this.#reserved += more;
    upload.reserved = wanted;
    return true;
  }
  #rank({ key, received }: Upload): number {
    return (this.#places.holds(key) ? Number.MAX_SAFE_INTEGER / 2 : 0) + received;
  }

  #lostPlace(key: string): void {
    for (const upload of this.#all())
      if (upload.key === key) {
        if (upload.received === 0) this.#crowdOut(upload);
        else this.#rest(upload);
        return;
      }
  }

  /** It sends no more for now: only what has come counts against the cap. */
  #rest(upload: Upload): void {
    this.#places.leave(upload.key);
    this.#reserved -= upload.reserved - upload.received;
    upload.reserved = upload.received;
  }

  #crowdOut(upload: Upload): void {
    this.#give(upload, CROWDED_OUT);
  }

  /** Gives it up, and keeps why for the chunks that are still on their way. */
  #give(upload: Upload, why: Refusal): void {
    this.#keep(upload.key, { volunteer: upload.header.volunteer, chunks: upload.chunks, sha256: null, verdict: why });
    this.#drop(upload, why);
  }

  /** Names are never used again, so that nobody needs to wait for a name to be forgotten. */
  #drop(upload: Upload, why: Refusal): void {
    if (upload.dropped !== null) return;
    upload.dropped = why;
    const { run } = upload.header;
    const ofRun = this.#uploads.get(run);
    if (ofRun?.get(upload.key) === upload) ofRun.delete(upload.key);
    if (ofRun?.size === 0) this.#uploads.delete(run);
    this.#places.leave(upload.key);
    this.#reserved -= upload.reserved;
    upload.reserved = 0;
    const forgotten = upload.turn.then(() => this.#spool.drop(upload.name));
    void this.#whileBusy(forgotten.catch(() => this.#counters.add("spool.drop-failed")));
  }

  #keep(key: string, kept: Kept): void {
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    if (this.#kept.size <= KEPT_VERDICTS) return;
    const oldest = this.#kept.keys().next().value;
    if (oldest !== undefined) this.#kept.delete(oldest);
  }

  #whileBusy<T>(work: Promise<T>): Promise<T> {
    this.#busy.add(work);
    void work.finally(() => this.#busy.delete(work));
    return work;
  }

  #find(key: string, run: string): Upload | undefined {
    return this.#uploads.get(run)?.get(key);
  }
  #ofRun(run: string): Upload[] {
    return [...(this.#uploads.get(run)?.values() ?? [])];
  }
  *#all(): Generator<Upload> {
    for (const ofRun of this.#uploads.values()) yield* ofRun.values();
  }
}
