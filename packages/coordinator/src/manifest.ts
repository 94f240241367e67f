// A run's data set as its ledger names it: the manifest's blob, read and parsed.
import { type BlobRef, DatasetManifest } from "@weft/protocol";
import type { Storage } from "@weft/storage";

/** Null where the blob is gone or holds no manifest. Rejects with a StorageFault. */
export async function readManifest(blobs: Storage["blobs"], { sha256 }: BlobRef): Promise<DatasetManifest | null> {
  const bytes = await blobs.get(sha256);
  return bytes === null ? null : parseManifest(bytes);
}

function parseManifest(bytes: Uint8Array): DatasetManifest | null {
  try {
    const parsed = DatasetManifest.safeParse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
