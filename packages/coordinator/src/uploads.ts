// Contributions on their way in: chunks are put in order in a spool, the whole is inspected, stored and handed to its run, and the verdict
// is kept for a sender that lost its acknowledgement. Knows neither sockets nor the rules by which a run admits.
import {
  type AssignmentEnd,
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
import type { Counters } from "./counters.ts";
import { KeptVerdicts } from "./kept-verdicts.ts";
import { KEPT_VERDICTS, UPLOAD_IDLE_MS, UPLOAD_PAUSED_MS, UPLOAD_STALLED_MS } from "./limits.ts";
import type { Inspection } from "./ports.ts";
import { aboutOf, chunkBytes, chunksOf, earlierUpload, keyOf, newUpload, type Upload, UploadTable } from "./upload.ts";
import { type PlaceLimits, UploadPlaces } from "./upload-places.ts";
import { UploadRoom } from "./upload-room.ts";
import type { UploadSpool } from "./upload-spool.ts";

/** What becomes of a whole upload; the run's side of it. */
export interface UploadSink {
  /** Inspects what lies in the spool under `name` and stores it if it is a contribution. A refusal says that it could not be stored. */
  takeIn(name: string, header: ContributionHeader): Promise<Result<Inspection>>;
  /** So many bytes of it lie in the spool; more are to come. */
  follow(name: string, header: ContributionHeader, sizeBytes: number): void;
  /** Offers the stored contribution to its run, and answers with the verdict after it is on disk. */
  admit(header: ContributionHeader, signature: Signature, norm: number): Promise<Result<ChunkReply>>;
  /** Tells the run that a whole upload was no contribution; gives what the sender shall hear. */
  spoiled(header: ContributionHeader, code: ErrorCode, detail: string): Promise<Refusal>;
}

export interface UploadLimits extends PlaceLimits {
  readonly spoolBytes: number;
}

/** Refusals after which the same bytes may yet be admitted: they stay where they are. */
const isPassing = (code: ErrorCode): boolean => code === "unavailable" || code === "disk-full" || code === "internal";

/** Each time so many chunks have come, the sink is told. */
const FOLLOWED_CHUNKS = 4;

const GIVEN_UP = refuse("unknown-upload", "the upload was given up");
const CROWDED_OUT = refuse("spool-full", "what had come of this upload was given up to make room; send it again", 1_000);
const SPOILED_HERE = refuse("unavailable", "what had come before the coordinator was interrupted is damaged; send it again", 100);

/** Of an upload that the spool could not take. */
const refusalOf = (error: unknown): Refusal =>
  refuse(
    (error as { code?: unknown } | null)?.code === "disk-full" ? "disk-full" : "unavailable",
    `the upload cannot be taken: ${error instanceof Error ? error.message : String(error)}`,
    5_000,
  );

export class Uploads {
  readonly #table = new UploadTable();
  readonly #kept = new KeptVerdicts(KEPT_VERDICTS);
  /** Chunks being answered and names being forgotten. */
  readonly #busy = new Set<Promise<unknown>>();
  /** Wake who waits until nothing is being sent. */
  readonly #looks: (() => void)[] = [];
  readonly #places: UploadPlaces;
  readonly #room: UploadRoom;
  readonly #spool: UploadSpool;
  readonly #sink: UploadSink;
  readonly #counters: Counters;
  readonly #now: () => number;
  /** The number in the newest name: higher than in any that the spool holds. */
  #lastNumber = 0;

  constructor(spool: UploadSpool, sink: UploadSink, counters: Counters, limits: UploadLimits, now: () => number) {
    this.#spool = spool;
    this.#sink = sink;
    this.#counters = counters;
    this.#now = now;
    this.#places = new UploadPlaces(limits, (key) => this.#lostPlace(key));
    this.#room = new UploadRoom(limits.spoolBytes, this.#table, this.#places, (upload) => this.#give(upload, CROWDED_OUT));
  }

  get reservedBytes(): number {
    return this.#room.reservedBytes;
  }
  /** Uploads that are neither decided on nor given up, and verdicts kept. */
  get sizes(): { readonly uploads: number; readonly verdicts: number } {
    return { uploads: [...this.#table.all()].length, verdicts: this.#kept.size };
  }

  /**
   * Takes up what an earlier process left and `isWanted` still wants; the rest is forgotten. Once, before anything else is asked. Gives how
   * many uploads may go on. Rejects with the spool's StorageFault.
   */
  async resume(isWanted: (header: ContributionHeader) => boolean): Promise<number> {
    let resumed = 0;
    for (const { name, about, sizeBytes } of await this.#spool.left()) {
      this.#lastNumber = Math.max(this.#lastNumber, Number(name.slice(name.lastIndexOf(".") + 1)) || 0);
      const upload = earlierUpload(name, about, sizeBytes, this.#now());
      const known = upload !== null && this.#table.find(upload.key, upload.header.run) !== undefined;
      if (upload === null || known || !isWanted(upload.header) || !this.#room.hold(upload)) {
        await this.#spool.drop(name);
        continue;
      }
      await this.#spool.cut(name, upload.received);
      this.#table.add(upload);
      resumed += 1;
    }
    return resumed;
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
    let upload = this.#table.find(key, header.run);
    if (upload !== undefined && (upload.header.sha256 !== header.sha256 || upload.header.sizeBytes !== header.sizeBytes)) {
      if (upload.whole) return refuse("duplicate", "another update of this assignment is being decided on");
      this.#drop(upload, GIVEN_UP);
      upload = undefined;
    }
    if (upload?.whole) return ok({ nextChunk: upload.chunks - 1 });
    if (upload !== undefined) {
      upload.address = address;
      upload.opened = true;
      // What an earlier process left in the spool was not checked again.
      upload.header = header;
      upload.signature = signature;
    }
    const waitMs = this.#places.take(key, address, header.sizeBytes, this.#now());
    if (waitMs > 0) return this.#crowded(waitMs);
    upload ??= this.#begin(header, signature, address);
    if (!this.#room.reserveWindow(upload)) return this.#full(upload);
    this.#kept.delete(key);
    return ok({ nextChunk: upload.nextChunk });
  }

  #begin(header: ContributionHeader, signature: Signature, address: string): Upload {
    this.#lastNumber += 1;
    const upload = newUpload(`${keyOf(header)}.${this.#lastNumber}`, { header, signature }, address, this.#now());
    // One more than a key can use takes the place of the one that it has not touched for longest.
    const own = [...this.#table.all()].filter((other) => other.header.volunteer === header.volunteer && !other.whole);
    own.sort((a, b) => a.touchedMs - b.touchedMs);
    for (const old of own.slice(0, Math.max(0, own.length - MAX_OPEN_ASSIGNMENTS + 1))) this.#give(old, CROWDED_OUT);
    this.#table.add(upload);
    return upload;
  }

  /** An admission that is older than this object (before a restart), or than what is kept: the sender asks again and gets its verdict. */
  remember(header: ContributionHeader, verdict: Result<ChunkReply>): ContributionOpened {
    const chunks = chunksOf(header);
    this.#kept.keep(keyOf(header), { volunteer: header.volunteer, chunks, sha256: header.sha256, verdict });
    return { nextChunk: chunks - 1 };
  }

  async chunk(volunteer: string, chunk: ChunkHeader, payload: Uint8Array): Promise<Result<ChunkReply>> {
    const key = keyOf(chunk);
    const found = this.#table.find(key, chunk.run);
    const upload = found?.opened === true ? found : undefined;
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
    const upload = this.#table.find(keyOf({ run, lease, attempt }), run);
    if (upload === undefined || upload.whole) return;
    if (reason === "blocked") this.#give(upload, refuse("blocked", "this volunteer is blocked by the run's administrator"));
    else if ((reason !== "expired" && reason !== "left") || upload.received === 0) this.#drop(upload, GIVEN_UP);
    else if (reason === "left") this.#rest(upload);
  }

  /** A version was made: unfinished answers to leases that went with it are of no use. Unless said, those are all that came before it. */
  endRound(run: string, version: number, isThere = (lease: string): boolean => leaseBase(lease) >= version): void {
    for (const upload of this.#table.ofRun(run)) if (!isThere(upload.header.lease)) this.#endReceiving(upload);
  }

  /** The run takes nothing more (`over`), or is paused, perhaps for days: then what nobody is sending is given up. */
  endRun(run: string, over: boolean): void {
    for (const upload of this.#table.ofRun(run)) if (over || !this.#places.holds(upload.key)) this.#endReceiving(upload);
  }

  #endReceiving(upload: Upload): void {
    upload.wanted = false;
    if (!upload.deciding) this.#drop(upload, GIVEN_UP);
  }

  /** Forgets uploads of which nothing has come for long. */
  sweep(): void {
    const before = this.#now() - UPLOAD_IDLE_MS;
    for (const upload of [...this.#table.all()]) if (upload.touchedMs < before) this.#drop(upload, GIVEN_UP);
    this.#lookAgain();
  }

  /** Leases of a run whose answers are being sent: bytes came a moment ago, or its sender has just asked to begin. */
  arriving(run: string): ReadonlySet<string> {
    const after = this.#now() - UPLOAD_STALLED_MS;
    const leases = new Set<string>();
    for (const { opened, key, touchedMs, header } of this.#table.ofRun(run))
      if (opened && touchedMs > after && this.#places.holds(key)) leases.add(header.lease);
    return leases;
  }

  /** Resolves when no upload is being sent any more: each has its verdict, or has stopped sending. Needs to be swept meanwhile. */
  async arrived(): Promise<void> {
    while (this.#isArriving()) await new Promise<void>((look) => this.#looks.push(look));
  }
  #isArriving(): boolean {
    const after = this.#now() - UPLOAD_PAUSED_MS;
    for (const { opened, whole, key, touchedMs } of this.#table.all())
      if (opened && !whole && touchedMs > after && this.#places.holds(key)) return true;
    return false;
  }
  #lookAgain(): void {
    for (const look of this.#looks.splice(0)) look();
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
      return this.#decide(upload);
    }
    if (index !== upload.nextChunk) return refuse("bad-chunk", `expected chunk ${upload.nextChunk}, got ${index}`);
    const expected = chunkBytes(upload, index);
    if (payload.length !== expected) return refuse("wrong-length", `chunk ${index} has ${payload.length} bytes, expected ${expected}`);
    const waitMs = this.#places.take(upload.key, upload.address, upload.header.sizeBytes, this.#now());
    if (waitMs > 0) return this.#crowded(waitMs);
    if (!this.#room.reserveWindow(upload)) return this.#full(upload);
    const refusal = await this.#spoolChunk(upload, payload);
    if (refusal !== null) return refusal;
    if (upload.dropped !== null) return upload.dropped;
    this.#counters.add("bytes.in", payload.length);
    upload.nextChunk += 1;
    upload.received += payload.length;
    upload.touchedMs = this.#now();
    this.#places.progress(upload.key, upload.touchedMs);
    if (index < last) {
      if (upload.nextChunk % FOLLOWED_CHUNKS === 0) this.#sink.follow(upload.name, upload.header, upload.received);
      return ok({ kind: "received", nextChunk: upload.nextChunk });
    }
    upload.whole = true;
    this.#rest(upload);
    return this.#decide(upload);
  }

  /** Null when the bytes are in the spool. Where they could not be put there, what is there ends again where it ended before. */
  async #spoolChunk(upload: Upload, payload: Uint8Array): Promise<Refusal | null> {
    try {
      if (upload.received === 0) await this.#spool.begin(upload.name, aboutOf(upload));
      await this.#spool.append(upload.name, payload);
      return null;
    } catch (error) {
      const refusal = refusalOf(error);
      this.#counters.add("spool.failed");
      await this.#spool.cut(upload.name, upload.received).catch(() => this.#give(upload, refusal));
      return refusal;
    }
  }

  /** Null when all bytes may be relied on as far as the disk has said; else they are given up. */
  async #endSpooling(upload: Upload): Promise<Refusal | null> {
    try {
      await this.#spool.end(upload.name);
      return null;
    } catch (error) {
      const refusal = refusalOf(error);
      this.#counters.add("spool.failed");
      this.#give(upload, refusal);
      return refusal;
    }
  }

  async #decide(upload: Upload): Promise<Result<ChunkReply>> {
    upload.deciding = true;
    try {
      return await this.#finish(upload);
    } finally {
      upload.deciding = false;
      // Nothing could be decided, and meanwhile its round was over: nobody would ask for it again.
      if (!upload.wanted) this.#drop(upload, GIVEN_UP);
    }
  }

  async #finish(upload: Upload): Promise<Result<ChunkReply>> {
    const { header, signature } = upload;
    const lost = await this.#endSpooling(upload);
    if (lost !== null) return lost;
    const taken = await this.#sink.takeIn(upload.name, header);
    if (!taken.ok) return taken;
    const found = taken.value;
    // Of bytes that lay in the spool across an interruption, the sender cannot be held to answer.
    if (!found.ok && upload.origin === "earlier" && (found.code === "wrong-hash" || found.code === "wrong-length")) {
      this.#counters.add("spool.spoiled");
      this.#drop(upload, SPOILED_HERE);
      return SPOILED_HERE;
    }
    if (!found.ok) {
      const refusal = await this.#sink.spoiled(header, found.code, found.detail);
      this.#drop(upload, refusal);
      return refusal;
    }
    const verdict = await this.#sink.admit(header, signature, found.norm);
    if (!verdict.ok && isPassing(verdict.code)) return verdict;
    this.#kept.keep(upload.key, { volunteer: header.volunteer, chunks: upload.chunks, sha256: header.sha256, verdict });
    this.#drop(upload, GIVEN_UP);
    return verdict;
  }

  #crowded(waitMs: number): Refusal {
    return refuse("unavailable", "as many uploads as the coordinator takes at once are arriving; this one's turn comes", waitMs);
  }

  #full(upload: Upload): Refusal {
    if (upload.received === 0) this.#drop(upload, GIVEN_UP);
    else this.#rest(upload);
    const { reservedBytes, capBytes } = this.#room;
    return refuse("spool-full", `uploads of ${reservedBytes} bytes are under way; the cap is ${capBytes}`, 5_000);
  }

  #lostPlace(key: string): void {
    for (const upload of this.#table.all())
      if (upload.key === key) {
        if (upload.received === 0) this.#give(upload, CROWDED_OUT);
        else this.#rest(upload);
        return;
      }
  }

  /** It sends no more for now: only what has come counts against the cap. */
  #rest(upload: Upload): void {
    this.#places.leave(upload.key);
    this.#room.keepReceived(upload);
  }

  /** Gives it up, and keeps why for the chunks that are still on their way. */
  #give(upload: Upload, why: Refusal): void {
    this.#kept.keep(upload.key, { volunteer: upload.header.volunteer, chunks: upload.chunks, sha256: null, verdict: why });
    this.#drop(upload, why);
  }

  /** Names are never used again, so that nobody needs to wait for a name to be forgotten. */
  #drop(upload: Upload, why: Refusal): void {
    if (upload.dropped !== null) return;
    upload.dropped = why;
    this.#table.remove(upload);
    this.#places.leave(upload.key);
    this.#room.release(upload);
    const forgotten = upload.turn.then(() => this.#spool.drop(upload.name));
    void this.#whileBusy(forgotten.catch(() => this.#counters.add("spool.drop-failed")));
  }

  #whileBusy<T>(work: Promise<T>): Promise<T> {
    this.#busy.add(work);
    void work.finally(() => {
      this.#busy.delete(work);
      this.#lookAgain();
    });
    return work;
  }
}
