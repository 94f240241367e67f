// Answers calls on a storage that arrive on a message port: the end that lives beside the disk, in a worker. Knows no thread API.
import type { LedgerRecord } from "@weft/protocol";
import { type Storage, StorageFault } from "./interfaces.ts";
import {
  type Answers,
  type Call,
  FIRST_PAGE_RECORDS,
  isOfOneThread,
  type MessagePortLike,
  PAGE_RECORDS,
  type ToClient,
  type ToServer,
  toFailure,
  transferable,
} from "./remote-messages.ts";

/** Reads that are open at once; each holds a piece of a segment, some 100 KB, in memory. */
const MAX_READERS = 256;

interface Reader {
  readonly records: AsyncIterator<LedgerRecord>;
  /** Records of the next page. The first is small, since who reads may stop after one record. */
  nextPage: number;
}

/**
 * Serves until the other end closes the storage. `storage` may still be opening: if that fails, the other end's `remoteStorage` rejects
 * with the same fault. Calls begin in the order in which they arrive.
 */
export const serveStorage = (storage: Storage | Promise<Storage>, port: MessagePortLike): void => {
  const send = (message: ToClient, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);
  Promise.resolve(storage).then(
    (opened) => {
      const answer = answerer(opened);
      port.addEventListener("message", ({ data }) => {
        const { id, call } = data as ToServer;
        answer(call).then(
          (value) => {
            // Storages give fresh bytes, so that their buffer can be handed over, where it is not of all threads.
            const own = value instanceof Uint8Array && isOfOneThread(value) ? transferable(value) : null;
            send({ kind: "answer", id, value: own ?? value }, own === null ? [] : [own.buffer]);
            if (call.op === "close") port.close();
          },
          (error: unknown) => {
            send({ kind: "failure", id, failure: toFailure(error) });
            if (call.op === "close") port.close();
          },
        );
      });
      port.start?.();
      send({ kind: "ready", recovered: opened.recovered });
    },
    (error: unknown) => {
      send({ kind: "not-opened", failure: toFailure(error) });
      port.close();
    },
  );
};

const answerer = (storage: Storage): ((call: Call) => Promise<Answers[Call["op"]]>) => {
  const { ledger, blobs, contributions } = storage;
  const readers = new Map<number, Reader>();
  let nextReader = 0;

  const page = async (reader: number): Promise<Answers["read-next"]> => {
    const open = readers.get(reader);
    if (open === undefined) return { records: [], done: true };
    const records: LedgerRecord[] = [];
    const wanted = open.nextPage;
    open.nextPage = Math.min(4 * wanted, PAGE_RECORDS);
    while (records.length < wanted) {
      const next = await open.records.next();
      if (next.done === true) {
        readers.delete(reader);
        return { records, done: true };
      }
      records.push(next.value);
    }
    return { records, done: false };
  };

  // Not async before the storage's own method is called: the order of calls is the order of messages.
  return (call) => {
    switch (call.op) {
      case "runs":
        return ledger.runs();
      case "append":
        return ledger.append(call.run, call.records, call.durability).then(() => null);
      case "read-open": {
        if (readers.size >= MAX_READERS) return Promise.reject(new StorageFault("unavailable", `${MAX_READERS} reads are open already.`));
        const records = ledger.read(call.run, call.fromSeq)[Symbol.asyncIterator]();
        readers.set(nextReader, { records, nextPage: FIRST_PAGE_RECORDS });
        return Promise.resolve(nextReader++);
      }
      case "read-next":
        return page(call.reader).catch((error: unknown) => {
          readers.delete(call.reader);
          throw error;
        });
      case "read-close": {
        const open = readers.get(call.reader);
        readers.delete(call.reader);
        return Promise.resolve(open?.records.return?.()).then(() => null);
      }
      case "blob-put":
        return blobs.put(call.bytes);
      case "blob-get":
        return blobs.get(call.sha256);
      case "blob-range":
        return blobs.getRange(call.sha256, call.start, call.end);
      case "blob-size":
        return blobs.size(call.sha256);
      case "blob-delete":
        return blobs.delete(call.sha256).then(() => null);
      case "contribution-put":
        return contributions.put(call.run, call.sha256, call.bytes).then(() => null);
      case "contribution-adopt":
        return contributions.adopt(call.run, call.sha256, call.path, call.sizeBytes).then(() => null);
      case "contribution-get":
        return contributions.get(call.run, call.sha256, call.room);
      case "contribution-drop":
        return contributions.drop(call.run, call.sha256s).then(() => null);
      case "close":
        return storage.close().then(() => null);
      default:
        return call satisfies never;
    }
  };
};
