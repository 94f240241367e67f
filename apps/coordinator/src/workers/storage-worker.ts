// The thread beside the disk: opens the storage in the data folder and serves it to every port that it is handed.
import { createHash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type MessagePort, parentPort } from "node:worker_threads";
import { openFileStorage, serveStorage } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { collector } from "../thread-memory.ts";
import { portLike } from "../threads.ts";
import { runWorker } from "./run-worker.ts";

/** Half a millisecond's work or so: what comes meanwhile does not wait for a large blob. */
const PIECE_BYTES = 1024 ** 2;

/** WebCrypto would copy the bytes first, and takes none that threads share. */
async function sha256(bytes: Uint8Array): Promise<string> {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    if (at > 0) await nextTurn();
    hash.update(bytes.subarray(at, at + PIECE_BYTES));
  }
  return hash.digest("hex");
}

await runWorker<{ readonly folder: string }>(({ folder }) => {
  const storage = openFileStorage(nodeDisk(), folder, { hash: sha256 });
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
      // Memory is shared until every thread has let go of it.
      const get = contributions.get.bind(contributions);
      contributions.get = async (run, sha256, room) => {
        const bytes = await get(run, sha256, room);
        if (room === "shared") dropped(bytes?.byteLength ?? 0);
        return bytes;
      };
    },
    () => undefined,
  );
  parentPort?.on("message", ({ port }: { readonly port: MessagePort }) => serveStorage(storage, portLike(port)));
});
