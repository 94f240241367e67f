// Contributions on their way in: chunks are put in order in a spool, the whole is inspected, stored and handed to its run, and the verdict
// is kept for a sender that lost its acknowledgement. Knows neither sockets nor the rules by which a run admits.
import {
  type AssignmentEnd,
  CHUNK_BYTES,
  type ChunkHeader,
  type ChunkReply,
  type ContributionHeader,
  type ContributionOpened,
  type ErrorCode,
  ok,
  type Result,
  refuse,
  type Signature,
} from "@weft/protocol";
import { leaseBase } from "@weft/training";
import type { UploadSpool } from "./api.ts";
import type { Counters } from "./counters.ts";
import { UPLOAD_IDLE_MS } from "./limits.ts";
import type { Inspection } from "./ports.ts";

/** What becomes of a whole upload; the run's side of it. */
export interface UploadSink {
  /** Inspects what lies in the spool under `name` and stores it if it is a contribution. A refusal says that it could not be stored. */
  takeIn(name: string, header: ContributionHeader): Promise<Result<Inspection>>;
  /** Offers the stored contribution to its run, and answers with the verdict after it is on disk. */
  admit(header: ContributionHeader, signature: Signature, norm: number): Promise<Result<ChunkReply>>;
  /** Tells the run that a whole upload was no contribution. */
  spoiled(header: ContributionHeader, code: ErrorCode, detail: string): Promise<void>;
}

type UploadState =
  | { readonly kind: "receiving" }
  /** All bytes are here and were not yet decided on; the last chunk sent again asks for the decision. */
  | { readonly kind: "whole" }
  | { readonly kind: "settled"; readonly verdict: Result<ChunkReply> };

interface Upload {
  readonly name: string;
  readonly header: ContributionHeader;
  readonly signature: Signature;
  readonly chunks: number;
  nextChunk: number;
  state: UploadState;
  /** Chunks of one upload are handled one after another. */
  turn: Promise<unknown>;
  touchedMs: number;
  /** Bytes held against the cap: the whole length from the start, so that an accepted upload can always be finished. */
  reserved: number;
  dropped: boolean;
}

const keyOf = ({ run, lease, attempt }: Pick<ChunkHeader, "run" | "lease" | "attempt">): string => `${run}.${lease}.${attempt}`;

/** Refusals after which the same bytes may yet be admitted: they stay where they are. */
const isPassing = (code: ErrorCode): boolean => code === "unavailable" || code === "disk-full" || code === "internal";

export class Uploads {
  readonly #uploads = new Map<string, Upload>();
  readonly #spool: UploadSpool;
  readonly #sink: UploadSink;
  readonly #counters: Counters;
  readonly #capBytes: number;
  readonly #now: () => number;
  #reserved = 0;
  #opened = 0;

  constructor(spool: UploadSpool, sink: UploadSink, counters: Counters, capBytes: number, now: () => number) {
    this.#spool = spool;
    this.#sink = sink;
    this.#counters = counters;
    this.#capBytes = capBytes;
    this.#now = now;
  }

  get reservedBytes(): number {
    return this.#reserved;
  }

  /** The header's signature, length and assignment are already checked. The same header again resumes where the bytes ended. */
  open(header: ContributionHeader, signature: Signature): Result<ContributionOpened> {
    const key = keyOf(header);
    const earlier = this.#uploads.get(key);
    if (earlier !== undefined && earlier.header.sha256 === header.sha256) {
      earlier.touchedMs = this.#now();
      return ok({ nextChunk: Math.min(earlier.nextChunk, earlier.chunks - 1) });
    }
    if (earlier?.state.kind === "settled" && earlier.state.verdict.ok)
      return refuse("duplicate", "another update was admitted for this assignment");
    if (earlier?.state.kind === "whole") return refuse("duplicate", "another update of this assignment is being decided on");
    if (earlier !== undefined) this.#drop(key, earlier);
    if (this.#reserved + header.sizeBytes > this.#capBytes)
      return refuse("spool-full", `uploads of ${this.#reserved} bytes are under way; the cap is ${this.#capBytes}`, 5_000);
    this.#reserved += header.sizeBytes;
    this.#opened += 1;
    this.#uploads.set(key, {
      name: `${key}.${this.#opened}`,
      header,
      signature,
      chunks: Math.ceil(header.sizeBytes / CHUNK_BYTES),
      nextChunk: 0,
      state: { kind: "receiving" },
      turn: Promise.resolve(),
      touchedMs: this.#now(),
      reserved: header.sizeBytes,
      dropped: false,
    });
    return ok({ nextChunk: 0 });
  }

  /** An admission that is older than this object (before a restart): the sender asks again and gets its verdict. */
  remember(header: ContributionHeader, signature: Signature, verdict: Result<ChunkReply>): ContributionOpened {
    const chunks = Math.ceil(header.sizeBytes / CHUNK_BYTES);
    const key = keyOf(header);
    if (!this.#uploads.has(key))
      this.#uploads.set(key, {
        name: key,
        header,
        signature,
        chunks,
        nextChunk: chunks,
        state: { kind: "settled", verdict },
        turn: Promise.resolve(),
        touchedMs: this.#now(),
        reserved: 0,
        dropped: false,
      });
    return { nextChunk: chunks - 1 };
  }

  async chunk(volunteer: string, chunk: ChunkHeader, payload: Uint8Array): Promise<Result<ChunkReply>> {
    const key = keyOf(chunk);
    const upload = this.#uploads.get(key);
    if (upload === undefined) return refuse("unknown-upload", `no upload of lease ${chunk.lease} was opened`);
    if (upload.header.volunteer !== volunteer)
      return refuse("not-your-lease", `lease ${chunk.lease} attempt ${chunk.attempt} is another's`);
    upload.touchedMs = this.#now();
    const reply = upload.turn.then(() => this.#receive(key, upload, chunk.index, payload));
    upload.turn = reply.catch(() => undefined);
    return reply;
  }

  /** The assignment is over. Where a late answer still counts, its bytes may go on coming. */
  end(run: string, lease: string, attempt: number, reason: AssignmentEnd): void {
    if (reason === "expired" || reason === "left") return;
    const key = keyOf({ run, lease, attempt });
    const upload = this.#uploads.get(key);
    if (upload !== undefined) this.#endReceiving(key, upload);
  }

  /** A version was made: unfinished answers to what came before it are of no use. A verdict is kept for who lost its acknowledgement. */
  endRound(run: string, version: number): void {
    for (const [key, upload] of this.#uploads)
      if (upload.header.run === run && leaseBase(upload.header.lease) < version) this.#endReceiving(key, upload);
  }

  #endReceiving(key: string, upload: Upload): void {
    if (upload.state.kind === "receiving") this.#drop(key, upload);
  }

  /** Forgets uploads that nobody has touched for long. */
  sweep(): void {
    const before = this.#now() - UPLOAD_IDLE_MS;
    for (const [key, upload] of [...this.#uploads]) if (upload.touchedMs < before) this.#drop(key, upload);
  }

  /** Resolves when every chunk that has arrived is answered. */
  async idle(): Promise<void> {
    await Promise.all([...this.#uploads.values()].map((upload) => upload.turn));
  }

  async #receive(key: string, upload: Upload, index: number, payload: Uint8Array): Promise<Result<ChunkReply>> {
    if (upload.dropped) return refuse("unknown-upload", "the upload was given up");
    const last = upload.chunks - 1;
    switch (upload.state.kind) {
      case "settled":
        return upload.state.verdict;
      case "whole":
        return index === last ? this.#finish(key, upload) : refuse("bad-chunk", `expected chunk ${last}, got ${index}`);
      case "receiving":
        break;
      default:
        upload.state satisfies never;
    }
    if (index !== upload.nextChunk) return refuse("bad-chunk", `expected chunk ${upload.nextChunk}, got ${index}`);
    const expected = index === last ? upload.header.sizeBytes - last * CHUNK_BYTES : CHUNK_BYTES;
    if (payload.length !== expected) return refuse("wrong-length", `chunk ${index} has ${payload.length} bytes, expected ${expected}`);
    await this.#spool.append(upload.name, payload);
    if (upload.dropped) {
      await this.#spool.drop(upload.name);
      return refuse("unknown-upload", "the upload was given up");
    }
    this.#counters.add("bytes.in", payload.length);
    upload.nextChunk += 1;
    if (index < last) return ok({ kind: "received", nextChunk: upload.nextChunk });
    upload.state = { kind: "whole" };
    return this.#finish(key, upload);
  }

  async #finish(key: string, upload: Upload): Promise<Result<ChunkReply>> {
    const { header, signature } = upload;
    const taken = await this.#sink.takeIn(upload.name, header);
    if (!taken.ok) return taken;
    const found = taken.value;
    if (!found.ok) {
      this.#drop(key, upload);
      await this.#sink.spoiled(header, found.code, found.detail);
      return refuse(found.code, found.detail);
    }
    const verdict = await this.#sink.admit(header, signature, found.norm);
    if (!verdict.ok && isPassing(verdict.code)) return verdict;
    upload.state = { kind: "settled", verdict };
    this.#release(upload);
    return verdict;
  }

  /** Names are never used again, so that nobody needs to wait for a name to be forgotten. */
  #release(upload: Upload): void {
    this.#reserved -= upload.reserved;
    upload.reserved = 0;
    this.#spool.drop(upload.name).catch(() => this.#counters.add("spool.drop-failed"));
  }

  #drop(key: string, upload: Upload): void {
    upload.dropped = true;
    if (this.#uploads.get(key) === upload) this.#uploads.delete(key);
    this.#release(upload);
  }
}
