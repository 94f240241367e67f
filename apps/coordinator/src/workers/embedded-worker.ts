// A thread that lives for the first start alone: unpacks the embedded data sets into the storage, so that neither the event loop nor the
// coordinator's own memory pays for it.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { MessagePort } from "node:worker_threads";
import { DATASETS_FOLDER, datasetCatalog, type ReadEmbedded } from "@weft/datasets";
import { folderFiles, remoteStorage } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { portLike } from "../threads.ts";
import { runWorker } from "./run-worker.ts";

/** Files of the data sets that come with Weft. */
const readEmbedded: ReadEmbedded = (path) => {
  const home = dirname(createRequire(import.meta.url).resolve("@weft/datasets/package.json"));
  return readFile(join(home, "embedded", ...path.split("/")));
};

await runWorker<{ readonly folder: string; readonly storage: MessagePort }>(async ({ folder, storage }) => {
  const { blobs } = await remoteStorage(portLike(storage));
  await datasetCatalog(folderFiles(nodeDisk(), join(folder, DATASETS_FOLDER)), blobs).addEmbedded(readEmbedded);
});
