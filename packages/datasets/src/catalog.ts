// The data sets that an installation has: manifests by id in injected files, shards in an injected blob store. Knows no disk.
import { type BlobRef, DatasetId, DatasetManifest } from "@weft/protocol";
import { sha256 } from "./bytes.ts";
import { EMBEDDED_IDS, embeddedDataset, type ReadEmbedded } from "./embedded.ts";
import { DatasetFault } from "./fault.ts";
import type { ImportedDataset } from "./shards.ts";

/** Small named files; `write` replaces a file at once and durably, or not at all. */
export interface ManifestFiles {
  names(): Promise<readonly string[]>;
  read(name: string): Promise<Uint8Array | null>;
  write(name: string, bytes: Uint8Array): Promise<void>;
}
export interface ShardStore {
  put(bytes: Uint8Array): Promise<BlobRef>;
  get(sha256: string): Promise<Uint8Array | null>;
}

export interface DatasetCatalog {
  /** By id. */
  list(): Promise<readonly DatasetManifest[]>;
  /** Null where there is none. A file that is no manifest is a DatasetFault. */
  manifest(id: string): Promise<DatasetManifest | null>;
  /** Stores all shards, then the manifest: nothing is listed before it is whole. Adding the same again does nothing; another set of the same id is a DatasetFault. */
  add(dataset: ImportedDataset): Promise<"added" | "there already">;
  /** Makes sure that the embedded sets are there; gives the ids that it added. */
  addEmbedded(readFile: ReadEmbedded): Promise<readonly string[]>;
}

/** Folder of the manifests inside a data folder; the shards are blobs of its storage. */
export const DATASETS_FOLDER = "datasets";

const MANIFEST_NAME = /^(.+)\.json$/;

export const datasetCatalog = (files: ManifestFiles, blobs: ShardStore): DatasetCatalog => {
  const manifest = async (id: string): Promise<DatasetManifest | null> => {
    if (!DatasetId.safeParse(id).success) return null;
    const bytes = await files.read(`${id}.json`);
    if (bytes === null) return null;
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch {
      throw new DatasetFault(`The manifest ${id}.json is damaged: not valid JSON. Remove the file and import the data set again.`);
    }
    const found = DatasetManifest.safeParse(value);
    if (!found.success || found.data.id !== id)
      throw new DatasetFault(`The manifest ${id}.json is damaged: not a manifest of ${id}. Remove the file and import the data set again.`);
    return found.data;
  };

  const add = async ({ manifest: wanted, shards }: ImportedDataset): Promise<"added" | "there already"> => {
    const named = [...wanted.train, ...wanted.heldOut];
    if (named.length !== shards.length) throw new RangeError(`${shards.length} shards for a manifest of ${named.length}`);
    for (const [index, shard] of named.entries())
      if ((await sha256(shards[index] ?? new Uint8Array())) !== shard.sha256) throw new RangeError(`shard ${index} is not the manifest's`);
    const there = await manifest(wanted.id);
    if (there !== null) {
      if (JSON.stringify(there) === JSON.stringify(wanted)) return "there already";
      throw new DatasetFault(`There is another data set called ${wanted.id}. Import this one under another id.`);
    }
    for (const bytes of shards) await blobs.put(bytes);
    await files.write(`${wanted.id}.json`, new TextEncoder().encode(`${JSON.stringify(wanted, null, 2)}\n`));
    return "added";
  };

  return {
    list: async () => {
      const ids = (await files.names())
        .flatMap((name) => MANIFEST_NAME.exec(name)?.[1] ?? [])
        .filter((id) => DatasetId.safeParse(id).success);
      const found = await Promise.all(ids.sort().map(manifest));
      return found.filter((one) => one !== null);
    },
    manifest,
    add,
    addEmbedded: async (readFile) => {
      const added: string[] = [];
      for (const id of EMBEDDED_IDS) {
        if ((await manifest(id)) !== null) continue;
        await add(await embeddedDataset(id, readFile));
        added.push(id);
      }
      return added;
    },
  };
};
