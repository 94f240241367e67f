// A thread that folds large updates with the one that closes the round, on memory that both share (packages/wasm/src/fold/fold-threads.ts).
import { parentPort } from "node:worker_threads";
import { type FoldMessage, foldThread } from "@weft/wasm/fold";
import { collector } from "../thread-memory.ts";
import { runWorker } from "./run-worker.ts";

await runWorker(() => {
  const takePart = foldThread();
  const dropped = collector();
  parentPort?.on("message", (message: FoldMessage) => {
    takePart(message);
    // Memory is shared until every thread has let go of it, and what a message held is of no more use here, as soon as this turn is over.
    setImmediate(() => dropped(Number.POSITIVE_INFINITY));
  });
});
