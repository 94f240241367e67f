// Compute over storage and pure functions, where it is called: in a test's process, or inside the application's worker threads.
// Knows no threads and no engine; evaluation is given.
import { writeCheckpoint } from "@weft/checkpoints";
import { newSha256 } from "@weft/ledger";
import { initialWeights, layoutFor } from "@weft/models";
import { type BlobRef, type DatasetManifest, type Evaluation, MAX_RECEIVING_UPLOADS, type ModelSpec, type RunSpec } from "@weft/protocol";
import type { Storage } from "@weft/storage";
import { codecNamed, f32FromBytes, f32ToBytes } from "@weft/tensors";
import type { AggregationRule, CloseRound } from "@weft/training";
import { type BlockSquares, type Hasher, Inspector, newSquares, PIECE_BYTES } from "./inspector.ts";
import type { CheckpointInput, ClosedRound, Compute, Inspection, SpooledUpload } from "./ports.ts";
import { closeFromBlobs } from "./round-blobs.ts";
import type { UploadSpool } from "./upload-spool.ts";

export interface LocalComputeOptions {
  readonly storage: Pick<Storage, "blobs" | "contributions">;
  readonly spool: Pick<UploadSpool, "read" | "fileOf">;
  /** Loss and accuracy of flat weights on the held-out part; the engine's in the application. */
  readonly evaluate: (spec: RunSpec, manifest: DatasetManifest, weights: Float32Array) => Promise<Evaluation>;
  /** A faster SHA-256 than the portable one, where the platform has it. */
  readonly newHasher?: () => Hasher;
  /** Faster sums of squares than the portable ones, where the platform has them. */
  readonly squares?: BlockSquares;
  /** A faster mean with the bits of @weft/training's, where the platform has it. */
  readonly mean?: AggregationRule;
}

/** From here on an upload's file is moved into the store: a copy would cost more than the sync of one file more. */
const MOVED_BYTES = 1024 ** 2;

/** Uploads that are looked through while they come: more than send at once. */
const MOST_AHEAD = 2 * MAX_RECEIVING_UPLOADS;

interface Ahead {
  readonly inspector: Inspector;
  /** It is followed step by step. */
  turn: Promise<void>;
}

export class LocalCompute implements Compute {
  readonly #options: LocalComputeOptions;
  readonly #squares: BlockSquares;
  /** By name; those that were begun first, first. */
  readonly #ahead = new Map<string, Ahead>();
  /** One piece is in memory at a time, whosever it is. */
  #room: Uint8Array<ArrayBuffer> | null = null;
  #reading: Promise<unknown> = Promise.resolve();

  constructor(options: LocalComputeOptions) {
    this.#options = options;
    this.#squares = options.squares ?? newSquares();
  }

  initialWeights(model: ModelSpec, seed: number): Promise<BlobRef> {
    return this.#options.storage.blobs.put(f32ToBytes(initialWeights(model, seed)));
  }

  follow(upload: SpooledUpload, sizeBytes: number): void {
    const { name } = upload;
    let ahead = this.#ahead.get(name);
    if (ahead === undefined) {
      // Nothing is read twice: what was not followed from its beginning is looked through when it is whole.
      if (!isInPieces(upload) || sizeBytes > PIECE_BYTES) return;
      ahead = { inspector: this.#inspector(upload), turn: Promise.resolve() };
      this.#ahead.set(name, ahead);
      // Names are never used again, so those that nobody asks for any more go in time.
      const [oldest] = this.#ahead.keys();
      if (this.#ahead.size > MOST_AHEAD) this.#ahead.delete(oldest as string);
    }
    const { inspector } = ahead;
    ahead.turn = ahead.turn.then(async () => {
      while (this.#ahead.get(name)?.inspector === inspector && inspector.sizeBytes + PIECE_BYTES <= sizeBytes)
        if ((await this.#piece(inspector, name).catch(() => null)) !== PIECE_BYTES) this.#ahead.delete(name);
    });
  }

  async takeIn(upload: SpooledUpload): Promise<Inspection> {
    const { name, run, sha256: expected, codec } = upload;
    if (codecNamed(codec) === undefined) return { ok: false, code: "bad-payload", detail: `there is no codec ${codec}` };
    await this.#ahead.get(name)?.turn;
    const inspector = this.#ahead.get(name)?.inspector ?? this.#inspector(upload);
    this.#ahead.delete(name);
    const { spool, storage } = this.#options;
    let bytes: Uint8Array | null = null;
    if (isInPieces(upload)) {
      let length: number | null = PIECE_BYTES;
      while (length === PIECE_BYTES) length = await this.#piece(inspector, name);
      if (length === null) return this.#moved(upload);
    } else {
      bytes = await spool.read(name);
      if (bytes === null) return this.#moved(upload);
      inspector.add(bytes);
    }
    const found = inspector.finish(expected);
    if (!found.ok) return found;
    const file = inspector.sizeBytes < MOVED_BYTES ? undefined : spool.fileOf?.(name);
    if (file === undefined) await storage.contributions.put(run, expected, bytes ?? (await spool.read(name)) ?? gone(name));
    else await storage.contributions.adopt(run, expected, file, inspector.sizeBytes);
    return found;
  }

  /** It is in the store already, where its run could not record it the first time. */
  async #moved(upload: SpooledUpload): Promise<Inspection> {
    const inspector = this.#inspector(upload);
    inspector.add((await this.#options.storage.contributions.get(upload.run, upload.sha256)) ?? gone(upload.name));
    return inspector.finish(upload.sha256);
  }

  #inspector({ codec: name, parameters }: SpooledUpload): Inspector {
    const codec = codecNamed(name);
    if (codec === undefined) throw new Error(`there is no codec ${name}`);
    const { newHasher = newSha256 } = this.#options;
    return new Inspector(codec, parameters, newHasher(), this.#squares);
  }

  /** Adds the next piece of an upload; gives its length, shorter only at the end, or null where the spool has nothing of the name. */
  #piece(inspector: Inspector, name: string): Promise<number | null> {
    const added = this.#reading.then(async () => {
      this.#room ??= new Uint8Array(PIECE_BYTES);
      const at = inspector.sizeBytes;
      const piece = await this.#options.spool.read(name, at, at + PIECE_BYTES, this.#room);
      if (piece !== null) inspector.add(piece);
      return piece?.length ?? null;
    });
    this.#reading = added.catch(() => undefined);
    return added;
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

/** Others are read as a whole: small ones, and those whose codec needs all bytes to read one value. */
const isInPieces = ({ codec: name, parameters }: SpooledUpload): boolean => {
  const codec = codecNamed(name);
  return codec?.isPlain === true && codec.mostBytes(parameters) > PIECE_BYTES;
};

function gone(name: string): never {
  throw new Error(`neither the spool nor the store has the upload ${name}`);
}
