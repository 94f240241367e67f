// The data sets that exist here, embedded and imported: each with its manifest and shards as blobs of the storage. Knows no HTTP.
import type { DatasetLookup } from "@weft/coordinator";
import { DatasetFault, datasetCatalog } from "@weft/datasets";
import { canonicalBytes } from "@weft/ledger";
import type { BlobRef, DatasetManifest } from "@weft/protocol";
import type { BlobStore } from "@weft/storage";
import { manifestFiles, readEmbedded, waitingShards } from "./dataset-files.ts";

export interface DatasetShelf extends DatasetLookup {
  list(): Promise<readonly DatasetManifest[]>;
}

/** Adds the embedded sets where they are missing. Rejects with a DatasetFault for files that are damaged. */
export async function openShelf(dataFolder: string, blobs: BlobStore): Promise<DatasetShelf> {
  const catalog = datasetCatalog(manifestFiles(dataFolder), blobs);
  const waiting = waitingShards(dataFolder);
  await catalog.addEmbedded(readEmbedded);
  /** By the manifest's text: whose shards are known to be in the storage. */
  const whole = new Map<string, BlobRef>();

  const takeIn = async (manifest: DatasetManifest): Promise<BlobRef> => {
    const bytes = canonicalBytes(manifest);
    const key = new TextDecoder().decode(bytes);
    const known = whole.get(key);
    if (known !== undefined) return known;
    for (const { sha256 } of [...manifest.train, ...manifest.heldOut]) {
      if ((await blobs.size(sha256)) === null) {
        const shard = await waiting.get(sha256);
        if (shard === null || (await blobs.put(shard)).sha256 !== sha256)
          throw new DatasetFault(`A shard of the data set ${manifest.id} is missing or damaged. Import it again.`);
      }
      await waiting.drop(sha256);
    }
    const blob = await blobs.put(bytes);
    whole.set(key, blob);
    return blob;
  };
  return {
    list: () => catalog.list(),
    async manifest(id) {
      const manifest = await catalog.manifest(id);
      return manifest === null ? null : { manifest, blob: await takeIn(manifest) };
    },
  };
}
