// A process that lives for the first start alone: unpacks the embedded data sets, so that neither the event loop nor the coordinator's own
// memory pays for it. The shards go to the coordinator's storage.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { DATASETS_FOLDER, datasetCatalog, type ReadEmbedded } from "@weft/datasets";
import type { BlobRef } from "@weft/protocol";
import { folderFiles } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { runProcess } from "./run-process.ts";

/** Files of the data sets that come with Weft. */
const readEmbedded: ReadEmbedded = (path) => {
  const home = dirname(createRequire(import.meta.url).resolve("@weft/datasets/package.json"));
  return readFile(join(home, "embedded", ...path.split("/")));
};

await runProcess<{ readonly folder: string }>(async ({ folder }, coordinator) => {
  const blobs = {
    put: async (bytes: Uint8Array) => (await coordinator.call("put", bytes)) as BlobRef,
    get: () => Promise.reject(new Error("unpacking reads no blobs")),
  };
  await datasetCatalog(folderFiles(nodeDisk(), join(folder, DATASETS_FOLDER)), blobs).addEmbedded(readEmbedded);
});
