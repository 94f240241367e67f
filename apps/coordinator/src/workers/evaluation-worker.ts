// The thread that evaluates versions on held-out data: an mlp in plain arithmetic, others on the engine's WASM or CPU backend. Reads weights and shards straight through the storage worker.
import { type MessagePort, parentPort } from "node:worker_threads";
import type { Engine } from "@weft/engine";
import type { BlobRef, DatasetManifest, Evaluation, RunSpec } from "@weft/protocol";
import { remoteStorage } from "@weft/storage";
import { f32FromBytes } from "@weft/tensors";
import { answerCalls } from "../calls.ts";
import { portLike } from "../threads.ts";
import { type HeldOut, heldOutSamples, scoreHeldOut } from "./held-out.ts";
import { mlpEvaluator } from "./mlp-evaluator.ts";
import { runWorker } from "./run-worker.ts";

/** Data sets whose shards stay in memory between evaluations. */
const HELD_OUT_KEPT = 4;

await runWorker<{ readonly storage: MessagePort }>(async ({ storage: port }) => {
  const storage = await remoteStorage(portLike(port));
  let engine: Promise<Engine> | null = null;
  const heldOut = new Map<string, HeldOut>();
  const readBlob = async (sha256: string): Promise<Uint8Array> => {
    const bytes = await storage.blobs.get(sha256);
    if (bytes === null) throw new Error(`the blob ${sha256} is not stored`);
    return bytes;
  };
  const samplesOf = (spec: RunSpec, manifest: DatasetManifest): HeldOut => {
    const key = JSON.stringify([manifest.heldOut, spec.model, spec.evaluation.samples]);
    const known = heldOut.get(key) ?? heldOutSamples(spec, manifest, { get: readBlob });
    heldOut.delete(key);
    heldOut.set(key, known);
    for (const oldest of heldOut.keys()) {
      if (heldOut.size <= HELD_OUT_KEPT) break;
      heldOut.delete(oldest);
    }
    return known;
  };
  const evaluate = async (spec: RunSpec, manifest: DatasetManifest, weights: BlobRef): Promise<Evaluation> => {
    const flat = f32FromBytes(await readBlob(weights.sha256));
    if (spec.model.kind === "mlp") return scoreHeldOut(mlpEvaluator(spec.model, flat), spec, samplesOf(spec, manifest));
    // Loaded with the first evaluation that needs it.
    engine ??= import("@weft/engine").then(({ createEngine }) => createEngine({ preference: "auto", allowSoftwareGpu: false }));
    const ready = await engine;
    await ready.load(spec.model, spec.training.microBatch);
    await ready.setWeights(flat);
    return scoreHeldOut(ready, spec, samplesOf(spec, manifest));
  };
  // The engine takes one call after another.
  let last: Promise<unknown> = Promise.resolve();
  if (parentPort === null) return;
  answerCalls(parentPort, {
    evaluate(spec: RunSpec, manifest: DatasetManifest, weights: BlobRef) {
      const mine = last.then(() => evaluate(spec, manifest, weights));
      last = mine.catch(() => undefined);
      return mine;
    },
  });
});
