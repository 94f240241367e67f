// What the coordinator asks of its storage. Implementations: memory.ts, files.ts; one conformance suite runs over all of them.
// Every failure is a StorageFault with a code; nothing is repaired with a guess.
import type { BlobRef, ErrorCode, LedgerRecord, RunId, Sha256 } from "@weft/protocol";

export type Durability = "durable" | "buffered";

/** Append-only records of each run. */
export interface LedgerStore {
  runs(): Promise<readonly RunId[]>;
  /** Records of one run are given in order of seq, without gaps. Resolves when they are on disk (durable) or queued in order (buffered: on disk with the next durable append, at the latest 1 s later). */
  append(run: RunId, records: readonly LedgerRecord[], durability: Durability): Promise<void>;
  /** From `fromSeq` on, in order. A torn last record (power cut) is dropped and reported by `recovered`; damage anywhere else is a StorageFault "damaged". */
  read(run: RunId, fromSeq?: number): AsyncIterable<LedgerRecord>;
}

/** Immutable bytes by SHA-256: weights, optimiser states, specifications, manifests, shards, checkpoint archives. */
export interface BlobStore {
  /** Resolves when the bytes are on disk under their name. Putting the same bytes again is free. */
  put(bytes: Uint8Array): Promise<BlobRef>;
  /** Null where there is no such blob. The whole blob's hash is checked; a mismatch is a StorageFault "damaged". */
  get(sha256: Sha256): Promise<Uint8Array | null>;
  /** A part of it, unchecked, for HTTP ranges. `end` is exclusive. */
  getRange(sha256: Sha256, start: number, end: number): Promise<Uint8Array | null>;
  size(sha256: Sha256): Promise<number | null>;
  delete(sha256: Sha256): Promise<void>;
}

export type Room = "own" | "shared";

/** Encoded contributions: in append-only segments that share the ledger's group commit, or large ones in files of their own. */
export interface ContributionStore {
  /** Queued; on disk no later than the next durable ledger append that is called after this resolved or was called. */
  put(run: RunId, sha256: Sha256, bytes: Uint8Array): Promise<void>;
  /**
   * As `put`, of a whole file on the storage's own disk: it is synced and moved, not copied, and is on disk when this resolves. Where the same
   * contribution is there already, the file stays where it is. Rejects with a StorageFault where `path` is no file of `sizeBytes`, and in a
   * storage that has no disk.
   */
  adopt(run: RunId, sha256: Sha256, path: string, sizeBytes: number): Promise<void>;
  /** `room`: `shared` asks for bytes that several threads can read, which not every storage has. */
  get(run: RunId, sha256: Sha256, room?: Room): Promise<Uint8Array | null>;
  /**
   * These are needed no more: their room may be given back, at once, later, or not at all. Not remembered over a restart: whoever dropped
   * names then drops them again. Unknown names are fine; a name that is put again afterwards is kept like any other.
   */
  drop(run: RunId, sha256s: readonly Sha256[]): Promise<void>;
}

export interface Storage {
  readonly ledger: LedgerStore;
  readonly blobs: BlobStore;
  readonly contributions: ContributionStore;
  /** What was found and dropped at opening (a torn last record), in sentences; empty after a clean stop. */
  readonly recovered: readonly string[];
  /** Everything buffered is on disk when it resolves; nothing may be called after. */
  close(): Promise<void>;
}

export class StorageFault extends Error {
  readonly code: Extract<ErrorCode, "damaged" | "disk-full" | "unavailable">;
  constructor(code: StorageFault["code"], message: string) {
    super(message);
    this.name = "StorageFault";
    this.code = code;
  }
}
