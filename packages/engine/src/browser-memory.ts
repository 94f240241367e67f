// What was found out of a GPU, kept in the browser's IndexedDB: a worker has no other lasting storage. Where the browser keeps nothing
// (private windows, storage denied) it is forgotten with the page, which costs time and nothing else.
import type { KernelMemory } from "@weft/webgpu";

const DATABASE = "weft-kernels";
const STORE = "kernels";

/** Null where there is no storage. */
function open(factory: IDBFactory): Promise<IDBDatabase | null> {
  return new Promise((resolve) => {
    try {
      const request = factory.open(DATABASE, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(null);
      request.onblocked = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
}

/** `factory` null: a browser without IndexedDB. */
export function browserMemory(factory: IDBFactory | null = (globalThis.indexedDB as IDBFactory | undefined) ?? null): KernelMemory {
  const database = factory === null ? Promise.resolve(null) : open(factory);
  /** Of this page, whether or not they are kept beyond it. */
  const known = new Map<string, string>();
  return {
    async get(key) {
      const held = known.get(key);
      const store = await database;
      if (held !== undefined || store === null) return held ?? null;
      return new Promise((resolve) => {
        try {
          const request: IDBRequest<unknown> = store.transaction(STORE).objectStore(STORE).get(key);
          request.onsuccess = () => resolve(typeof request.result === "string" ? request.result : null);
          request.onerror = () => resolve(null);
        } catch {
          resolve(null);
        }
      });
    },
    async set(key, value) {
      known.set(key, value);
      const store = await database;
      if (store === null) return;
      await new Promise<void>((resolve) => {
        try {
          const transaction = store.transaction(STORE, "readwrite");
          transaction.objectStore(STORE).put(value, key);
          transaction.oncomplete = () => resolve();
          transaction.onerror = () => resolve();
          transaction.onabort = () => resolve();
        } catch {
          resolve();
        }
      });
    },
  };
}
