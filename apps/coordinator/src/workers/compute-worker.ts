// The thread that takes contributions in, closes rounds, makes version 0 and packs checkpoints. Reads and writes blobs straight through the storage worker.
import { createHash } from "node:crypto";
import { type MessagePort, parentPort } from "node:worker_threads";
import { diskSpool, LocalCompute, type SpooledUpload } from "@weft/coordinator";
import type { RunSpec } from "@weft/protocol";
import { remoteStorage } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import type { CloseRound } from "@weft/training";
import { wasmMean, wasmSquares } from "@weft/wasm/fold";
import { answerCalls } from "../calls.ts";
import { foldThreads } from "../fold-threads.ts";
import { collector, limiter } from "../thread-memory.ts";
import { portLike } from "../threads.ts";
import { runWorker } from "./run-worker.ts";

/** Contributions whose bytes are in memory together: the storage writes what comes together with one sync. */
const TAKEN_IN_AT_ONCE = 2;
const F32_BYTES = 4;

await runWorker<{ readonly storage: MessagePort; readonly spool: string }>(async ({ storage, spool }) => {
  const dropped = collector();
  const compute = new LocalCompute({
    storage: await remoteStorage(portLike(storage)),
    spool: diskSpool(nodeDisk(), spool),
    evaluate: () => Promise.reject(new Error("evaluation has a thread of its own")),
    newHasher: () => {
      const hash = createHash("sha256");
      return { update: (bytes) => hash.update(bytes), digest: () => hash.digest("hex") };
    },
    squares: wasmSquares(),
    mean: wasmMean(
      foldThreads((line) => console.error(line)),
      dropped,
    ),
  });
  if (parentPort === null) return;
  const inTurn = limiter(TAKEN_IN_AT_ONCE);
  answerCalls(parentPort, {
    initialWeights: compute.initialWeights.bind(compute),
    follow: async (upload: SpooledUpload, sizeBytes: number) => compute.follow(upload, sizeBytes),
    takeIn: (upload: SpooledUpload) =>
      inTurn(async () => {
        const found = await compute.takeIn(upload);
        dropped(F32_BYTES * upload.parameters);
        return found;
      }),
    async closeRound(run: string, spec: RunSpec, parameters: number, round: CloseRound) {
      const closed = await compute.closeRound(run, spec, parameters, round);
      dropped(F32_BYTES * parameters * (round.contributions.length + 4));
      return closed;
    },
    checkpoint: compute.checkpoint.bind(compute),
  });
});
