// The folder `datasets` in the data folder: a manifest a file, and shards waiting to be taken into the storage. It has no lock, so that the
// command line can import while a coordinator runs.
import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { type DatasetCatalog, datasetCatalog, type ManifestFiles, type ReadEmbedded, type ShardStore } from "@weft/datasets";
import { systemCode } from "./start-error.ts";

const absentAsNull = (error: unknown): null => {
  if (systemCode(error) === "ENOENT") return null;
  throw error;
};

/** Whole and durable under its name, or not there: temporary name, fsync, rename, fsync of the folder. */
async function writeWhole(folder: string, name: string, bytes: Uint8Array): Promise<void> {
  await mkdir(folder, { recursive: true });
  const draft = join(folder, `.${name}.${randomUUID()}`);
  try {
    const file = await open(draft, "wx");
    await file.writeFile(bytes);
    await file.sync();
    await file.close();
    await rename(draft, join(folder, name));
  } finally {
    await rm(draft, { force: true });
  }
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  await handle.sync();
  await handle.close();
}

export const manifestFiles = (dataFolder: string): ManifestFiles => {
  const folder = join(dataFolder, "datasets");
  return {
    names: async () => (await readdir(folder).catch(absentAsNull)) ?? [],
    read: (name) => readFile(join(folder, name)).catch(absentAsNull),
    write: (name, bytes) => writeWhole(folder, name, bytes),
  };
};

export interface WaitingShards extends ShardStore {
  drop(sha256: string): Promise<void>;
}
export const waitingShards = (dataFolder: string): WaitingShards => {
  const folder = join(dataFolder, "datasets", "shards");
  return {
    async put(bytes) {
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      await writeWhole(folder, sha256, bytes);
      return { sha256, sizeBytes: bytes.length };
    },
    get: (sha256) => readFile(join(folder, sha256)).catch(absentAsNull),
    drop: (sha256) => rm(join(folder, sha256), { force: true }),
  };
};

/** For the command line: what it adds is taken into the storage by the coordinator, now or when it starts. */
export const openDatasetFolder = (dataFolder: string): DatasetCatalog =>
  datasetCatalog(manifestFiles(dataFolder), waitingShards(dataFolder));

/** Files of the data sets that come with Weft. */
export const readEmbedded: ReadEmbedded = (path) => {
  const home = dirname(createRequire(import.meta.url).resolve("@weft/datasets/package.json"));
  return readFile(join(home, "embedded", ...path.split("/")));
};
