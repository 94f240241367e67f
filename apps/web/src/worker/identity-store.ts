// The volunteer's key: an Ed25519 seed that this browser made and keeps in IndexedDB. Knows nothing of what is signed.
import { createIdentity } from "@weft/ledger";
import type { VolunteerIdentity } from "@weft/volunteer";

const DATABASE = "weft";
const STORE = "identity";
const KEY = "seed";

const settled = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB failed"));
  });

async function storedSeed(): Promise<Uint8Array> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const database = await settled(opening);
  try {
    const known: unknown = await settled(database.transaction(STORE).objectStore(STORE).get(KEY));
    if (known instanceof Uint8Array && known.length === 32) return known;
    const seed = crypto.getRandomValues(new Uint8Array(32));
    await settled(database.transaction(STORE, "readwrite").objectStore(STORE).put(seed, KEY));
    return seed;
  } finally {
    database.close();
  }
}

/** Where IndexedDB is shut (some private windows), the identity lasts as long as the tab. */
export async function browserIdentity(): Promise<VolunteerIdentity> {
  const seed = await storedSeed().catch(() => crypto.getRandomValues(new Uint8Array(32)));
  const { publicKey, sign } = createIdentity(seed);
  return { volunteer: publicKey, sign: async (domain, value) => sign(domain, value) };
}
