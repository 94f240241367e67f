// The data sets in a data folder on this machine, without a coordinator. Adding takes the folder's lock; looking does not.
import { access, constants, readFile, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { DATASETS_FOLDER, type DatasetCatalog, datasetCatalog, EMBEDDED_IDS, type ReadEmbedded } from "@weft/datasets";
import { DatasetManifest } from "@weft/protocol";
import { folderFiles, openFileStorage, StorageFault } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";

/** Runs `work` on the catalog of `folder`, which nobody else may have open. What was dropped at opening is said on standard error. */
export const withCatalog = async <T>(folder: string, work: (catalog: DatasetCatalog) => Promise<T>): Promise<T> => {
  const disk = nodeDisk();
  if ((await stat(folder).catch(() => null))?.isDirectory() === false)
    throw new Error(`The data folder ${folder} is a file, not a folder. Name another with --data.`);
  // Shards are stored before the manifest: what would refuse the manifest is found out first.
  const manifests = `${folder}/${DATASETS_FOLDER}`;
  await access(manifests, constants.W_OK).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT" && error.code !== "ENOTDIR")
      throw new Error(`The folder ${manifests} cannot be written (${error.message}).`);
  });
  const storage = await openFileStorage(disk, folder).catch((error: unknown) => {
    if (error instanceof StorageFault && /is in use/.test(error.message))
      throw new Error(
        `${error.message.replace(/ Stop it first\.$/, "")} Stop the coordinator (Ctrl-C), add the data set, and start it again.`,
      );
    throw error;
  });
  for (const line of storage.recovered) process.stderr.write(`${line}\n`);
  try {
    return await work(datasetCatalog(folderFiles(disk, manifests), storage.blobs));
  } finally {
    await storage.close();
  }
};

export const readEmbedded: ReadEmbedded = async (path) => {
  const home = dirname(createRequire(import.meta.url).resolve("@weft/datasets/package.json"));
  return new Uint8Array(await readFile(join(home, "embedded", ...path.split("/"))));
};

/** Every data set that a run can name: those in the folder, and the embedded ones, which a coordinator adds at its first start. */
export const listManifests = async (folder: string): Promise<readonly DatasetManifest[]> => {
  const nothing = { put: () => Promise.reject(new Error("looking stores nothing")), get: async () => null };
  const found = await datasetCatalog(folderFiles(nodeDisk(), `${folder}/${DATASETS_FOLDER}`), nothing).list();
  const missing = EMBEDDED_IDS.filter((id) => !found.some((manifest) => manifest.id === id));
  const embedded = await Promise.all(
    missing.map(async (id) => DatasetManifest.parse(JSON.parse(new TextDecoder().decode(await readEmbedded(`${id}/manifest.json`))))),
  );
  return [...found, ...embedded].sort((one, other) => (one.id < other.id ? -1 : 1));
};
