// The thread that closes rounds, inspects contributions, makes version 0 and packs checkpoints. Reads and writes blobs straight through the storage worker.
import { createHash } from "node:crypto";
import { type MessagePort, parentPort } from "node:worker_threads";
import { LocalCompute } from "@weft/coordinator";
import { remoteStorage } from "@weft/storage";
import { answerCalls } from "../calls.ts";
import { portLike } from "../threads.ts";
import { archiveOf } from "./archive.ts";
import { runWorker } from "./run-worker.ts";

await runWorker<{ readonly storage: MessagePort }>(async ({ storage }) => {
  const compute = new LocalCompute({
    storage: await remoteStorage(portLike(storage)),
    evaluate: () => Promise.reject(new Error("evaluation has a thread of its own")),
    archive: archiveOf,
    hash: (bytes) => createHash("sha256").update(bytes).digest("hex"),
  });
  if (parentPort === null) return;
  answerCalls(parentPort, {
    initialWeights: compute.initialWeights.bind(compute),
    inspect: compute.inspect.bind(compute),
    closeRound: compute.closeRound.bind(compute),
    checkpoint: compute.checkpoint.bind(compute),
  });
});
