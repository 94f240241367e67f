// Where the bytes of unfinished uploads lie: memory (memory-spool.ts) or temporary files (disk-spool.ts). Knows nothing of what the bytes mean.

/** What an earlier process left of an upload. */
export interface SpooledUploadLeft {
  readonly name: string;
  /** What `begin` was given. */
  readonly about: string;
  readonly sizeBytes: number;
}

/**
 * Names are made by the core, `[a-z0-9.-]`, at most 200 characters. Calls for one name never overlap, but for reads of what was appended
 * before. Nothing here is promised to anybody: what a power cut spoils is found by the hash that the sender signed. Errors are StorageFaults.
 */
export interface UploadSpool {
  /** What an earlier process left, in the order of names; asked once, before anything else. */
  left(): Promise<readonly SpooledUploadLeft[]>;
  /** Before the first bytes of a name: a line that `left` gives back. */
  begin(name: string, about: string): Promise<void>;
  /** Appends a copy of `bytes`; on an error a part of them may be there. */
  append(name: string, bytes: Uint8Array): Promise<void>;
  /** Cuts off what lies behind the first `sizeBytes`. */
  cut(name: string, sizeBytes: number): Promise<void>;
  /** No more is appended or cut. Rejects where the disk failed to write what came; then the name is of no use any more. */
  end(name: string): Promise<void>;
  /**
   * Bytes appended, in order, from `start` to `end` (exclusive), fewer at the end of what came; all where nothing is said. They may lie in
   * `room`, if they fit. Null where there are none of the name, or where their file was moved. Asked by whoever computes, perhaps in another
   * thread.
   */
  read(name: string, start?: number, end?: number, room?: Uint8Array<ArrayBuffer>): Promise<Uint8Array | null>;
  /** The file that holds exactly these bytes after `end`, for who moves it elsewhere; absent where there are no files. */
  fileOf?(name: string): string;
  /** Forgets the name; unknown names are fine. */
  drop(name: string): Promise<void>;
}
