// The data sets that exist here, embedded and imported: manifests as files in the data folder, manifests and shards as blobs of the storage.
// Knows no HTTP.
import { join } from "node:path";
import type { DatasetLookup } from "@weft/coordinator";
import { clientsOf, DATASETS_FOLDER, DatasetFault, datasetCatalog, datasetReader, EMBEDDED_IDS } from "@weft/datasets";
import { canonicalBytes } from "@weft/ledger";
import { type BlobRef, type DatasetManifest, ok, refuse } from "@weft/protocol";
import { type BlobStore, folderFiles } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";

export interface DatasetShelf extends DatasetLookup {
  list(): Promise<readonly DatasetManifest[]>;
}

/** `unpackEmbedded` adds the embedded sets; it is called only where one is missing, and rejects for files that are damaged. */
export async function openShelf(dataFolder: string, blobs: BlobStore, unpackEmbedded: () => Promise<void>): Promise<DatasetShelf> {
  const catalog = datasetCatalog(folderFiles(nodeDisk(), join(dataFolder, DATASETS_FOLDER)), blobs);
  const there = await Promise.all(EMBEDDED_IDS.map((id) => catalog.manifest(id)));
  if (there.includes(null)) await unpackEmbedded();
  /** By the manifest's text: whose shards are known to be in the storage. */
  const whole = new Map<string, BlobRef>();
  const blobOf = async (manifest: DatasetManifest): Promise<BlobRef> => {
    const bytes = canonicalBytes(manifest);
    const key = new TextDecoder().decode(bytes);
    const known = whole.get(key);
    if (known !== undefined) return known;
    for (const { sha256 } of [...manifest.train, ...manifest.heldOut])
      if ((await blobs.size(sha256)) === null)
        throw new DatasetFault(`A shard of the data set ${manifest.id} is missing. Import it again.`);
    const blob = await blobs.put(bytes);
    whole.set(key, blob);
    return blob;
  };
  return {
    list: () => catalog.list(),
    async manifest(id) {
      const manifest = await catalog.manifest(id);
      return manifest === null ? null : { manifest, blob: await blobOf(manifest) };
    },
    async clients(manifest, spec) {
      const get = async (sha256: string): Promise<Uint8Array> => {
        const bytes = await blobs.get(sha256);
        if (bytes === null) throw new DatasetFault(`A shard of the data set ${manifest.id} is missing. Import it again.`);
        return bytes;
      };
      try {
        const { clients, size } = await clientsOf(spec, datasetReader(manifest, { get }, "train"));
        return ok(Array.from({ length: clients }, (_, client) => size(client)));
      } catch (error) {
        if (error instanceof DatasetFault) return refuse("bad-spec", error.message);
        throw error;
      }
    },
  };
}
