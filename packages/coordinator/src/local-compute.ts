// Compute over storage and pure functions, where it is called: in a test's process, or inside the application's worker threads.
// Knows no threads and no engine; evaluation is given.
import { writeCheckpoint } from "@weft/checkpoints";
import { sha256 } from "@weft/ledger";
import { initialWeights, layoutFor } from "@weft/models";
import {
  type BlobRef,
  type DatasetManifest,
  type Evaluation,
  MAX_UPDATE_NORM,
  type ModelSpec,
  type RunSpec,
  type Sha256,
} from "@weft/protocol";
import type { Storage } from "@weft/storage";
import { BlockNorm, codecNamed, DECODE_BLOCK, f32FromBytes, f32ToBytes } from "@weft/tensors";
import type { AggregationRule, CloseRound } from "@weft/training";
import type { CheckpointInput, ClosedRound, Compute, Inspection, SpooledUpload } from "./ports.ts";
import { closeFromBlobs } from "./round-blobs.ts";
import type { UploadSpool } from "./upload-spool.ts";

export interface LocalComputeOptions {
  readonly storage: Pick<Storage, "blobs" | "contributions">;
  readonly spool: Pick<UploadSpool, "read" | "fileOf">;
  /** Loss and accuracy of flat weights on the held-out part; the engine's in the application. */
  readonly evaluate: (spec: RunSpec, manifest: DatasetManifest, weights: Float32Array) => Promise<Evaluation>;
  /** A faster SHA-256 than the portable one, where the platform has it. */
  readonly hash?: (bytes: Uint8Array) => Sha256;
  /** A faster mean with the bits of @weft/training's, where the platform has it. */
  readonly mean?: AggregationRule;
}

/** From here on an upload's file is moved into the store: a copy would cost more than the sync of one file more. */
const MOVED_BYTES = 1024 ** 2;

export class LocalCompute implements Compute {
  readonly #options: LocalComputeOptions;

  constructor(options: LocalComputeOptions) {
    this.#options = options;
  }

  initialWeights(model: ModelSpec, seed: number): Promise<BlobRef> {
    return this.#options.storage.blobs.put(f32ToBytes(initialWeights(model, seed)));
  }

  async takeIn({ name, run, sha256: expected, codec, parameters }: SpooledUpload): Promise<Inspection> {
    const {
      spool,
      storage: { contributions },
      hash,
    } = this.#options;
    // Moved already, where its run could not record it the first time.
    const bytes = (await spool.read(name)) ?? (await contributions.get(run, expected));
    if (bytes === null) throw new Error(`neither the spool nor the store has the upload ${name}`);
    const found = inspectBytes(bytes, expected, codec, parameters, hash ?? sha256);
    if (!found.ok) return found;
    const file = bytes.length < MOVED_BYTES ? undefined : spool.fileOf?.(name);
    if (file === undefined) await contributions.put(run, expected, bytes);
    else await contributions.adopt(run, expected, file, bytes.length);
    return found;
  }

  async closeRound(run: string, spec: RunSpec, parameters: number, round: CloseRound): Promise<ClosedRound> {
    const { storage, mean } = this.#options;
    const next = await closeFromBlobs(storage, run, spec, parameters, round, mean);
    if (next.lossMean === null) throw new Error("a round without a contribution was closed");
    const weights = await storage.blobs.put(f32ToBytes(next.weights));
    const delta = next.delta === null ? null : await storage.blobs.put(next.delta);
    const optimizer = await storage.blobs.put(next.optimizer);
    return { weights, delta, optimizer, norm: next.norm, lossMean: next.lossMean };
  }

  async evaluate(spec: RunSpec, manifest: DatasetManifest, weights: BlobRef): Promise<Evaluation> {
    return this.#options.evaluate(spec, manifest, await this.#weights(weights));
  }

  async checkpoint({ point, ...input }: CheckpointInput): Promise<BlobRef> {
    const { blobs } = this.#options.storage;
    const { weights: ref, optimizer: state, steps, position, pending = [] } = point;
    const optimizer = state === null ? null : await blobs.get(state.sha256);
    if (optimizer === null) throw new Error(`the optimiser state of version ${point.version} is not stored`);
    const weights = await this.#weights(ref);
    const layout = layoutFor(input.spec.model);
    return blobs.put(
      writeCheckpoint({ ...input, weights, weightsSha256: ref.sha256, layout, training: { steps, position, pending, optimizer } }),
    );
  }

  async #weights({ sha256: name }: BlobRef): Promise<Float32Array> {
    const bytes = await this.#options.storage.blobs.get(name);
    if (bytes === null) throw new Error(`the weights ${name} are not stored`);
    return f32FromBytes(bytes);
  }
}

/** Length first, then hash, then values, by cost: nothing is decoded that was not signed for. */
export function inspectBytes(
  bytes: Uint8Array,
  expected: Sha256,
  codecName: string,
  parameters: number,
  hash: (bytes: Uint8Array) => Sha256,
): Inspection {
  const codec = codecNamed(codecName);
  if (codec === undefined) return { ok: false, code: "bad-payload", detail: `there is no codec ${codecName}` };
  if (bytes.length < codec.leastBytes(parameters) || bytes.length > codec.mostBytes(parameters))
    return { ok: false, code: "wrong-length", detail: `${bytes.length} bytes came, which no ${codecName} of ${parameters} values has` };
  if (hash(bytes) !== expected) return { ok: false, code: "wrong-hash", detail: "the bytes do not have the hash that was signed" };
  const opened = codec.open(bytes, parameters);
  if (!opened.ok) return { ok: false, code: opened.fault, detail: opened.detail };
  // A block at a time, so that the update is never dense beside its bytes.
  const blockNorm = new BlockNorm(parameters);
  const scratch = new Float32Array(Math.min(parameters, DECODE_BLOCK));
  for (let from = 0; from < parameters; from += DECODE_BLOCK) {
    const block = scratch.subarray(0, Math.min(DECODE_BLOCK, parameters - from));
    const refused = opened.reader.next(block);
    if (refused !== null) return { ok: false, code: refused.fault, detail: refused.detail };
    blockNorm.add(block);
  }
  const size = Math.fround(blockNorm.value());
  if (size > MAX_UPDATE_NORM)
    return {
      ok: false,
      code: "norm-outlier",
      detail: `the update's norm is ${size.toExponential(1)}, at most ${MAX_UPDATE_NORM} is taken`,
    };
  return { ok: true, norm: size };
}
