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

/** A download that breaks off goes on where it was so many times before it is given up. */
const MAX_RESUMED = 8;

interface Download {
  readonly sha256: Sha256;
  readonly bytes: Uint8Array;
  /** Bytes that are here. */
  at: number;
}

/**
 * Blobs over HTTP at `/blobs/<sha256>`; never reads more than was announced. What broke off goes on by Range, and so does the next try at the
 * last blob that was given up. `fetch` is the platform's.
 */
export function httpBlobs(origin: string, fetcher: typeof fetch = fetch): BlobSource {
  let givenUp: Download | null = null;
  return {
    async get(sha256, sizeBytes) {
      const isBegun = givenUp?.sha256 === sha256 && givenUp.bytes.length === sizeBytes;
      const download: Download = isBegun && givenUp !== null ? givenUp : { sha256, bytes: new Uint8Array(sizeBytes), at: 0 };
      if (isBegun) givenUp = null;
      for (let resumed = 0; ; resumed++) {
        const before = download.at;
        try {
          await readOn(new URL(`/blobs/${sha256}`, origin), fetcher, download);
          return download.at === sizeBytes ? download.bytes : download.bytes.slice(0, download.at);
        } catch (error) {
          if (error instanceof BlobFault && error.code !== "unavailable") throw error;
          if (download.at > before && resumed < MAX_RESUMED) continue;
          if (download.at > 0) givenUp = download;
          if (error instanceof BlobFault) throw error;
          throw new BlobFault("unavailable", `Blob ${sha256.slice(0, 12)} broke off: ${String(error).slice(0, 200)}`);
        }
      }
    },
  };
}

/** Asks for what is not here yet and reads it to its end. Rejects as the platform does where it breaks off; what came until then is here. */
async function readOn(url: URL, fetcher: typeof fetch, download: Download): Promise<void> {
  const name = download.sha256.slice(0, 12);
  const from = download.at;
  const asked = from === 0 ? fetcher(url) : fetcher(url, { headers: { range: `bytes=${from}-` } });
  const response = await asked.catch((error: unknown) => {
    throw new BlobFault("unavailable", `The coordinator cannot be reached: ${String(error).slice(0, 200)}`);
  });
  if (response.status === 404) throw new BlobFault("unknown-blob", `The coordinator has no blob ${name}.`);
  if (!response.ok) throw new BlobFault("unavailable", `The coordinator answered ${response.status} to blob ${name}.`);
  // Who knows no ranges, or gives another, sends the whole again or is not believed.
  if (response.status !== 206) download.at = 0;
  else if (response.headers.get("content-range")?.startsWith(`bytes ${from}-`) !== true)
    throw new BlobFault("wrong-hash", `The coordinator sent another part of blob ${name} than was asked for.`);
  // Not `for await`: not every browser iterates over streams.
  const reader = response.body?.getReader();
  for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
    if (download.at + part.value.length > download.bytes.length) {
      await reader?.cancel();
      throw new BlobFault("too-large", `Blob ${name} is longer than the ${download.bytes.length} bytes announced.`);
    }
    download.bytes.set(part.value, download.at);
    download.at += part.value.length;
  }
}
