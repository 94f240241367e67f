// Data sets for benches, in memory: the embedded ones, and well-known ones from a folder of files that somebody downloaded (`--data`). Knows no bench.
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { EMBEDDED_IDS, type EmbeddedId, embeddedDataset, fetchDataset, type ImportedDataset, type ShardSource } from "@weft/datasets";
import type { DatasetManifest } from "@weft/protocol";

export interface LoadedDataset {
  readonly manifest: DatasetManifest;
  readonly shards: ShardSource;
}

const EMBEDDED = join(dirname(createRequire(import.meta.url).resolve("@weft/datasets/package.json")), "embedded");
const isEmbedded = (id: string): id is EmbeddedId => (EMBEDDED_IDS as readonly string[]).includes(id);

/**
 * `folder` holds the set's files by their published names, packed or not, itself or in a folder called as the set is, without what says how it
 * is laid out. Throws a sentence.
 */
export async function loadDataset(id: string, folder: string | null): Promise<LoadedDataset> {
  return inMemory(
    isEmbedded(id)
      ? await embeddedDataset(id, (path) => readFile(join(EMBEDDED, ...path.split("/"))))
      : await fetchDataset(id, (address) => fromFolder(address, id, folder)),
  );
}

async function fromFolder(address: string, id: string, folder: string | null): Promise<Uint8Array> {
  if (folder === null) throw new Error(`the data set ${id} is wanted: name the folder of its files with --data`);
  const name = (address.split("/").at(-1) ?? "").replace(/\.gz$/, "");
  for (const place of [join(folder, id.replace(/-by-role$/, "")), folder])
    for (const file of await readdir(place).catch(() => [])) if (file === name || file === `${name}.gz`) return readFile(join(place, file));
  throw new Error(`${folder} has no file ${name} of the data set ${id}`);
}

export function inMemory({ manifest, shards }: ImportedDataset): LoadedDataset {
  const named = [...manifest.train, ...manifest.heldOut];
  const bytes = new Map(named.map(({ sha256 }, index) => [sha256, shards[index]]));
  return {
    manifest,
    shards: {
      get: async (sha256) => {
        const found = bytes.get(sha256);
        if (found === undefined) throw new Error(`there is no shard ${sha256}`);
        return found;
      },
    },
  };
}
