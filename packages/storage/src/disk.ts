// The disk as the storage sees it: the few operations whose order and durability matter, so that a test can lose power between any two.
// Knows no format. Paths are joined with "/"; a folder's entries (created, renamed, removed files) are durable only after `syncFolder`.

/** What went wrong, in the words the storage reacts to. `stopped` is a simulated power cut or a closed handle. */
export type DiskErrorKind = "missing" | "exists" | "full" | "denied" | "stopped" | "broken";

export class DiskError extends Error {
  readonly kind: DiskErrorKind;
  constructor(kind: DiskErrorKind, message: string) {
    super(message);
    this.name = "DiskError";
    this.kind = kind;
  }
}

/** A file open for appending. Bytes are durable only after `datasync`. */
export interface DiskFile {
  /** All of the bytes, or an error; after an error a part of them may have been written. */
  append(bytes: Uint8Array): Promise<void>;
  datasync(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  close(): Promise<void>;
}

/** Held until released or until the process ends. `note` says, in a sentence, if the lock of a dead process was taken over. */
export interface DiskLock {
  readonly note: string | null;
  release(): Promise<void>;
}

export interface Disk {
  /** With all parents; no error where it exists already. */
  makeFolder(path: string): Promise<void>;
  /** Creates the file where there is none. */
  openAppend(path: string): Promise<DiskFile>;
  /** Null where there is no such file. */
  size(path: string): Promise<number | null>;
  /**
   * Bytes from `start` to `end` (exclusive), fewer at the end of the file; fresh, or in `room`, where the caller lends it and they fit. Error
   * `missing` where there is no such file.
   */
  readRange<B extends ArrayBufferLike = ArrayBuffer>(
    path: string,
    start: number,
    end: number,
    room?: Uint8Array<B>,
  ): Promise<Uint8Array<ArrayBuffer | B>>;
  /** Names of files and folders, sorted; empty where there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
  rename(from: string, to: string): Promise<void>;
  /** No error where there is no such file. */
  unlink(path: string): Promise<void>;
  syncFolder(path: string): Promise<void>;
  /** Error `exists` while a living process holds it; the message names that process. */
  lock(path: string): Promise<DiskLock>;
}

/** The folder that holds `path`. */
export const parentOf = (path: string): string => {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, slash) || "/";
};
