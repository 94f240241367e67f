// Blobs that are believed only by their hash. Knows no HTTP and no disk.
import type { ErrorCode, Sha256 } from "@weft/protocol";
import type { BlobSource, Hash } from "./ports.ts";

/** A blob that could not be had; expected, since networks and coordinators fail. */
export class BlobFault extends Error {
  readonly code: Extract<ErrorCode, "unavailable" | "unknown-blob" | "wrong-hash" | "too-large">;
  constructor(code: BlobFault["code"], message: string) {
    super(message);
    this.name = "BlobFault";
    this.code = code;
  }
}

/** Refuses what is longer, shorter or other than its name says, with a BlobFault. `onBytes` hears of each blob that came. */
export const checkedBlobs = (source: BlobSource, hash: Hash, onBytes: (bytes: number) => void = () => {}): BlobSource => ({
  async get(sha256, sizeBytes) {
    let bytes: Uint8Array;
    try {
      bytes = await source.get(sha256, sizeBytes);
    } catch (error) {
      if (error instanceof BlobFault) throw error;
      throw new BlobFault("unavailable", `Blob ${sha256.slice(0, 12)} could not be fetched: ${String(error).slice(0, 200)}`);
    }
    onBytes(bytes.length);
    if (bytes.length !== sizeBytes)
      throw new BlobFault("wrong-hash", `Blob ${sha256.slice(0, 12)} has ${bytes.length} bytes, ${sizeBytes} were announced.`);
    if ((await hash(bytes)) !== sha256)
      throw new BlobFault("wrong-hash", `The bytes of blob ${sha256.slice(0, 12)} are not what its name says.`);
    return bytes;
  },
});

/** Keeps the most recently used blobs in memory, up to `maxBytes` together; asks once for a blob that is wanted twice at the same time. */
export function cachedBlobs(source: BlobSource, maxBytes: number): BlobSource {
  const kept = new Map<Sha256, Uint8Array>();
  const asked = new Map<Sha256, Promise<Uint8Array>>();
  let total = 0;
  const keep = (sha256: Sha256, bytes: Uint8Array): void => {
    if (bytes.length > maxBytes) return;
    kept.set(sha256, bytes);
    total += bytes.length;
    for (const [oldest, old] of kept) {
      if (total <= maxBytes) return;
      kept.delete(oldest);
      total -= old.length;
    }
  };
  return {
    async get(sha256, sizeBytes) {
      const known = kept.get(sha256);
      if (known !== undefined) {
        kept.delete(sha256);
        kept.set(sha256, known);
        return known;
      }
      const pending = asked.get(sha256);
      if (pending !== undefined) return pending;
      const fetching = source.get(sha256, sizeBytes).finally(() => asked.delete(sha256));
      asked.set(sha256, fetching);
      const bytes = await fetching;
      keep(sha256, bytes);
      return bytes;
    },
  };
}

/** Blobs over HTTP at `/blobs/<sha256>`; never reads more than was announced. `fetch` is the platform's. */
export const httpBlobs = (origin: string, fetcher: typeof fetch = fetch): BlobSource => ({
  async get(sha256, sizeBytes) {
    const response = await fetcher(new URL(`/blobs/${sha256}`, origin)).catch((error: unknown) => {
      throw new BlobFault("unavailable", `The coordinator cannot be reached: ${String(error).slice(0, 200)}`);
    });
    if (response.status === 404) throw new BlobFault("unknown-blob", `The coordinator has no blob ${sha256.slice(0, 12)}.`);
    if (!response.ok) throw new BlobFault("unavailable", `The coordinator answered ${response.status} to blob ${sha256.slice(0, 12)}.`);
    const bytes = new Uint8Array(sizeBytes);
    let at = 0;
    // Not `for await`: not every browser iterates over streams.
    const reader = response.body?.getReader();
    for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
      if (at + part.value.length > sizeBytes) {
        await reader?.cancel();
        throw new BlobFault("too-large", `Blob ${sha256.slice(0, 12)} is longer than the ${sizeBytes} bytes announced.`);
      }
      bytes.set(part.value, at);
      at += part.value.length;
    }
    return at === sizeBytes ? bytes : bytes.slice(0, at);
  },
});
