// What biased codecs could not say yet, kept in IndexedDB from visit to visit. One tab is the volunteer (sole-tab.ts), so one tab writes. Where
// the browser keeps nothing it is forgotten with the page, which costs a little accuracy and nothing else.
import type { ResidualStore } from "@weft/volunteer";

const DATABASE = "weft-residuals";
const STORE = "residuals";
const BY_TIME = "savedAtMs";
/** Each is as large as a model: those of the newest runs. */
const MOST_RUNS = 2;

interface Kept {
  readonly bytes: Uint8Array;
  readonly savedAtMs: number;
}

function open(factory: IDBFactory): Promise<IDBDatabase | null> {
  return new Promise((resolve) => {
    try {
      const request = factory.open(DATABASE, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE).createIndex(BY_TIME, BY_TIME);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(null);
      request.onblocked = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
}

/** `factory` null: a browser without IndexedDB. */
export function browserResiduals(factory: IDBFactory | null = (globalThis.indexedDB as IDBFactory | undefined) ?? null): ResidualStore {
  const database = factory === null ? Promise.resolve(null) : open(factory);
  /** Resolves when the transaction is over, whether or not it took. */
  const write = async (change: (store: IDBObjectStore) => void): Promise<void> => {
    const kept = await database;
    if (kept === null) return;
    await new Promise<void>((resolve) => {
      try {
        const transaction = kept.transaction(STORE, "readwrite");
        transaction.oncomplete = () => resolve();
        transaction.onerror = () => resolve();
        transaction.onabort = () => resolve();
        change(transaction.objectStore(STORE));
      } catch {
        resolve();
      }
    });
  };
  return {
    async get(run) {
      const kept = await database;
      if (kept === null) return null;
      return new Promise((resolve) => {
        try {
          const request: IDBRequest<Kept | undefined> = kept.transaction(STORE).objectStore(STORE).get(run);
          request.onsuccess = () => resolve(request.result?.bytes instanceof Uint8Array ? request.result.bytes : null);
          request.onerror = () => resolve(null);
        } catch {
          resolve(null);
        }
      });
    },
    set: (run, bytes) =>
      write((store) => {
        store.put({ bytes, savedAtMs: Date.now() } satisfies Kept, run);
        const keys = store.index(BY_TIME).getAllKeys();
        keys.onsuccess = () => {
          for (const old of keys.result.slice(0, -MOST_RUNS)) store.delete(old);
        };
      }),
    delete: (run) => write((store) => void store.delete(run)),
  };
}
