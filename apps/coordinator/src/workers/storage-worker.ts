// The thread beside the disk: opens the storage in the data folder and serves it to every port that it is handed.
import { type MessagePort, parentPort } from "node:worker_threads";
import { openFileStorage, serveStorage } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { collector } from "../thread-memory.ts";
import { portLike } from "../threads.ts";
import { runWorker } from "./run-worker.ts";

await runWorker<{ readonly folder: string }>(({ folder }) => {
  const storage = openFileStorage(nodeDisk(), folder);
  // Every port is told of a failure to open; here it is told to nobody.
  storage.then(
    ({ contributions }) => {
      // Bytes that are written are of no more use here; V8 alone would let tens of megabytes of them lie.
      const dropped = collector();
      const put = contributions.put.bind(contributions);
      contributions.put = async (run, sha256, bytes) => {
        await put(run, sha256, bytes);
        dropped(bytes.byteLength);
      };
    },
    () => undefined,
  );
  parentPort?.on("message", ({ port }: { readonly port: MessagePort }) => serveStorage(storage, portLike(port)));
});
