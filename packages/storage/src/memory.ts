// Storage in memory: for tests and for what need not outlive the process. The same promises, but for durability.
import type { LedgerRecord, RunId, Sha256 } from "@weft/protocol";
import { sha256 as hashOf } from "./checksum.ts";
import { type Storage, StorageFault } from "./interfaces.ts";

export const memoryStorage = (): Storage => {
  const ledgers = new Map<RunId, LedgerRecord[]>();
  const blobs = new Map<Sha256, Uint8Array>();
  const contributions = new Map<string, Uint8Array>();
  let closed = false;
  const open = (): void => {
    if (closed) throw new StorageFault("unavailable", "The storage is closed.");
  };
  return {
    recovered: [],
    ledger: {
      runs: async () => [...ledgers].filter(([, records]) => records.length > 0).map(([run]) => run),
      append: async (run, records) => {
        open();
        const ledger = ledgers.get(run) ?? [];
        for (const [index, { seq }] of records.entries())
          if (seq !== ledger.length + index) throw new RangeError(`ledger of ${run}: record ${seq} where ${ledger.length + index} is due`);
        ledger.push(...records);
        ledgers.set(run, ledger);
      },
      async *read(run, fromSeq = 0) {
        yield* (ledgers.get(run) ?? []).slice(fromSeq);
      },
    },
    blobs: {
      put: async (bytes) => {
        open();
        const own = bytes.slice();
        const sha256 = await hashOf(own);
        if (!blobs.has(sha256)) blobs.set(sha256, own);
        return { sha256, sizeBytes: own.length };
      },
      get: async (sha256) => blobs.get(sha256)?.slice() ?? null,
      getRange: async (sha256, start, end) => blobs.get(sha256)?.slice(Math.max(0, start), end) ?? null,
      size: async (sha256) => blobs.get(sha256)?.length ?? null,
      delete: async (sha256) => {
        blobs.delete(sha256);
      },
    },
    contributions: {
      put: async (run, sha256, bytes) => {
        open();
        contributions.set(`${run}/${sha256}`, bytes.slice());
      },
      adopt: async () => {
        throw new StorageFault("unavailable", "A storage in memory has no disk.");
      },
      get: async (run, sha256) => contributions.get(`${run}/${sha256}`)?.slice() ?? null,
      drop: async (run, sha256s) => {
        for (const sha256 of sha256s) contributions.delete(`${run}/${sha256}`);
      },
    },
    close: async () => {
      closed = true;
    },
  };
};
