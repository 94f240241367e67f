// The thread beside the disk: opens the storage in the data folder and serves it to every port that it is handed.
import { type MessagePort, parentPort } from "node:worker_threads";
import { openFileStorage, serveStorage } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { portLike } from "../threads.ts";
import { runWorker } from "./run-worker.ts";

await runWorker<{ readonly folder: string }>(({ folder }) => {
  const storage = openFileStorage(nodeDisk(), folder);
  // Every port is told of a failure to open; here it is told to nobody.
  storage.catch(() => undefined);
  parentPort?.on("message", ({ port }: { readonly port: MessagePort }) => serveStorage(storage, portLike(port)));
});
