// Storage that refuses when a test says so, as a full or broken disk does. What it took before is kept; what it refused is not there.
import { type Storage, StorageFault } from "@weft/storage";

export interface FailingStorage extends Storage {
  /** What may not be written from now on, and why; null: all is well. */
  fail(what: "ledger" | "contributions" | "blobs" | null, code?: StorageFault["code"]): void;
}

export function failingStorage(inner: Storage): FailingStorage {
  let failing: { readonly what: string; readonly code: StorageFault["code"] } | null = null;
  const guard = async <T>(what: string, call: () => Promise<T>): Promise<T> => {
    if (failing?.what === what) throw new StorageFault(failing.code, "The disk is full: made by a test.");
    return call();
  };
  return {
    recovered: inner.recovered,
    ledger: {
      runs: () => inner.ledger.runs(),
      append: (run, records, durability) => guard("ledger", () => inner.ledger.append(run, records, durability)),
      read: (run, fromSeq) => inner.ledger.read(run, fromSeq),
    },
    blobs: {
      put: (bytes) => guard("blobs", () => inner.blobs.put(bytes)),
      get: (name) => inner.blobs.get(name),
      getRange: (name, start, end) => inner.blobs.getRange(name, start, end),
      size: (name) => inner.blobs.size(name),
      delete: (name) => inner.blobs.delete(name),
    },
    contributions: {
      put: (run, name, bytes) => guard("contributions", () => inner.contributions.put(run, name, bytes)),
      adopt: (run, name, path, sizeBytes) => guard("contributions", () => inner.contributions.adopt(run, name, path, sizeBytes)),
      get: (run, name, room) => inner.contributions.get(run, name, room),
      drop: (run, names) => guard("contributions", () => inner.contributions.drop(run, names)),
    },
    close: () => inner.close(),
    fail: (what, code = "disk-full") => {
      failing = what === null ? null : { what, code };
    },
  };
}
