// The thread beside the disk as in production, but for a disk with fault points.
import { type MessagePort, parentPort } from "node:worker_threads";
import { openFileStorage, serveStorage } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { portLike } from "../threads.ts";
import { runWorker } from "../workers/run-worker.ts";
import { faultyDisk } from "./fault-points.ts";

/** Small, so that a short run crosses from one to the next. */
const SEGMENTS = { ledgerSegmentBytes: 20_000, contributionSegmentBytes: 2_000_000 };

await runWorker<{ readonly folder: string }>(({ folder }) => {
  const storage = openFileStorage(faultyDisk(nodeDisk()), folder, SEGMENTS);
  storage.catch(() => undefined);
  parentPort?.on("message", ({ port }: { readonly port: MessagePort }) => serveStorage(storage, portLike(port)));
});
