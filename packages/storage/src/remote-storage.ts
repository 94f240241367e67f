// A Storage whose work is done at the other end of a message port (serve-storage.ts). Knows no thread API.
import type { LedgerRecord } from "@weft/protocol";
import { type Storage, StorageFault } from "./interfaces.ts";
import {
  type Answers,
  type Call,
  fromFailure,
  MAX_BYTES_IN_FLIGHT,
  type MessagePortLike,
  type ToClient,
  type ToServer,
} from "./remote-messages.ts";

interface Waiting {
  readonly sizeBytes: number;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/**
 * Resolves when the storage at the other end is open; rejects with its StorageFault if it cannot be opened. Bytes given to `put` are copied
 * once and handed over. When the other end goes away, everything rejects with `unavailable`.
 */
export const remoteStorage = async (port: MessagePortLike): Promise<Storage> => {
  const waiting = new Map<number, Waiting>();
  // Calls are sent in the order in which they are made, so one that waits for room holds back those behind it.
  const unsent: { readonly message: ToServer; readonly transfer: ArrayBuffer[]; readonly sizeBytes: number }[] = [];
  let bytesInFlight = 0;
  let nextId = 0;
  let gone: StorageFault | null = null;

  const pump = (): void => {
    for (let head = unsent[0]; head !== undefined; head = unsent[0]) {
      if (bytesInFlight > 0 && bytesInFlight + head.sizeBytes > MAX_BYTES_IN_FLIGHT) return;
      bytesInFlight += head.sizeBytes;
      unsent.shift();
      port.postMessage(head.message, head.transfer);
    }
  };
  const settle = (id: number): Waiting | undefined => {
    const entry = waiting.get(id);
    waiting.delete(id);
    bytesInFlight -= entry?.sizeBytes ?? 0;
    pump();
    return entry;
  };
  const send = <C extends Call>(call: C, bytes?: Uint8Array<ArrayBuffer>): Promise<Answers[C["op"]]> => {
    if (gone !== null) return Promise.reject(gone);
    const id = nextId++;
    const sizeBytes = bytes?.length ?? 0;
    return new Promise((resolve, reject) => {
      waiting.set(id, { sizeBytes, resolve: resolve as (value: unknown) => void, reject });
      unsent.push({ message: { kind: "call", id, call }, transfer: bytes === undefined ? [] : [bytes.buffer], sizeBytes });
      pump();
    });
  };

  const recovered = await new Promise<readonly string[]>((resolve, reject) => {
    port.addEventListener("message", ({ data }) => {
      const message = data as ToClient;
      switch (message.kind) {
        case "ready":
          return resolve(message.recovered);
        case "not-opened":
          return reject(fromFailure(message.failure));
        case "answer":
          return settle(message.id)?.resolve(message.value);
        case "failure":
          return settle(message.id)?.reject(fromFailure(message.failure));
        default:
          return message satisfies never;
      }
    });
    port.addEventListener("close", () => {
      gone = new StorageFault("unavailable", "The storage worker has stopped.");
      for (const entry of waiting.values()) entry.reject(gone);
      waiting.clear();
      unsent.length = 0;
      reject(gone);
    });
    port.start?.();
  });

  async function* read(run: string, fromSeq = 0): AsyncGenerator<LedgerRecord> {
    const reader = await send({ op: "read-open", run, fromSeq });
    let done = false;
    try {
      while (!done) {
        const page = await send({ op: "read-next", reader });
        done = page.done;
        yield* page.records;
      }
    } finally {
      if (!done) await send({ op: "read-close", reader });
    }
  }

  return {
    recovered,
    ledger: {
      runs: () => send({ op: "runs" }),
      append: async (run, records, durability) => {
        await send({ op: "append", run, records, durability });
      },
      read,
    },
    blobs: {
      put: (bytes) => {
        const own = bytes.slice() as Uint8Array<ArrayBuffer>;
        return send({ op: "blob-put", bytes: own }, own);
      },
      get: (sha256) => send({ op: "blob-get", sha256 }),
      getRange: (sha256, start, end) => send({ op: "blob-range", sha256, start, end }),
      size: (sha256) => send({ op: "blob-size", sha256 }),
      delete: async (sha256) => {
        await send({ op: "blob-delete", sha256 });
      },
    },
    contributions: {
      put: async (run, sha256, bytes) => {
        const own = bytes.slice() as Uint8Array<ArrayBuffer>;
        await send({ op: "contribution-put", run, sha256, bytes: own }, own);
      },
      adopt: async (run, sha256, path, sizeBytes) => {
        await send({ op: "contribution-adopt", run, sha256, path, sizeBytes });
      },
      get: (run, sha256, room = "own") => send({ op: "contribution-get", run, sha256, room }),
      drop: async (run, sha256s) => {
        await send({ op: "contribution-drop", run, sha256s });
      },
    },
    close: async () => {
      await send({ op: "close" });
      gone = new StorageFault("unavailable", "The storage is closed.");
      port.close();
    },
  };
};
