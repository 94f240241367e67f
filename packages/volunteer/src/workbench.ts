// Where assignments are worked on: fetch and check what a lease needs, add up micro-batches on the engine, encode and sign the result.
// Keeps the bytes of a contribution until its lease is over, so that a resend sends the same ones. Knows no connection and no state machine.
import {
  type Assignment,
  CHUNK_BYTES,
  type ContributionHeader,
  DatasetManifest,
  type ErrorCode,
  encodeFrame,
  f32ToHex,
  leaseNumber,
  parseRunSpec,
  type RunSpec,
  type Signature,
} from "@weft/protocol";
import { codecNamed, f32FromBytes } from "@weft/tensors";
import { BlobFault } from "./blobs.ts";
import type { BlobSource, Clock, Hash, SelfTest, VolunteerData, VolunteerEngine, VolunteerIdentity, Work } from "./ports.ts";

/** Why a lease cannot be done here now; expected. */
export class JobFault extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string) {
    super(message);
    this.name = "JobFault";
    this.code = code;
  }
}
/** The engine failed: the device may be lost. */
export class DeviceFault extends Error {
  override readonly name = "DeviceFault";
}

interface Piece {
  readonly work: Work;
  sum: Float32Array | null;
  lossSum: number;
  busyMs: number;
  contribution: { readonly header: ContributionHeader; readonly signature: Signature; readonly bytes: Uint8Array } | null;
}

export interface WorkbenchOptions {
  readonly createEngine: () => Promise<VolunteerEngine>;
  readonly data: VolunteerData;
  readonly identity: VolunteerIdentity;
  readonly blobs: BlobSource;
  readonly hash: Hash;
  readonly clock: Clock;
}

/** Parsed documents kept: one run's specification and manifest serve all its leases. */
const DOCUMENTS_KEPT = 16;

export class Workbench {
  readonly #options: WorkbenchOptions;
  readonly #pieces = new Map<string, Piece>();
  readonly #documents = new Map<string, unknown>();
  #engine: VolunteerEngine | null = null;
  /** What is on the engine: the model with its micro-batch, and the weights by hash. */
  #loaded: string | null = null;
  #weights: string | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: WorkbenchOptions) {
    this.#options = options;
  }

  /** Makes the engine where there is none, or `anew`, and tests it. Throws a DeviceFault. */
  test(anew: boolean): Promise<{ readonly selfTest: SelfTest; readonly device: VolunteerEngine["device"] }> {
    return this.#inTurn(async () => {
      if (anew) this.#dispose();
      this.#engine ??= await this.#options.createEngine();
      return { selfTest: await this.#engine.selfTest(), device: this.#engine.device };
    });
  }

  /** Frees the device after what is running on it. Never rejects. */
  free(): Promise<void> {
    return this.#inTurn(async () => this.#dispose()).catch(() => {});
  }

  /** Fetches and checks all that the assignment needs and puts it on the engine. Throws a JobFault or a DeviceFault. */
  async prepare(key: string, assignment: Assignment): Promise<Work> {
    const [spec, manifest] = await Promise.all([
      this.#document(assignment.spec, (value) => {
        const parsed = parseRunSpec(value);
        if (!parsed.ok) throw new JobFault(parsed.code, parsed.message);
        return parsed.value;
      }),
      this.#document(assignment.dataset, (value) => {
        const parsed = DatasetManifest.safeParse(value);
        if (!parsed.success) throw new JobFault("bad-dataset", "The data set's manifest cannot be read.");
        return parsed.data;
      }),
    ]);
    if (spec.training.mode !== "gradient")
      throw new JobFault("bad-spec", "This volunteer computes gradients, and the run wants local steps.");
    const { codec } = spec.training;
    if (codec !== assignment.codec && codec !== "auto" && codec !== "sign" && codec !== "topk")
      throw new JobFault("wrong-codec", `The run is encoded as ${codec}, the lease asks for ${assignment.codec}.`);
    if (assignment.codec === "sign" || assignment.codec === "topk")
      throw new JobFault("wrong-codec", `This volunteer keeps nothing back, which the codec "${assignment.codec}" needs.`);
    if (assignment.weights.sizeBytes % 4 !== 0) throw new JobFault("wrong-length", "The weights are no whole number of f32 values.");
    const work: Work = { assignment, spec, manifest };
    this.#pieces.set(key, { work, sum: null, lossSum: 0, busyMs: 0, contribution: null });
    await this.#load(spec, assignment);
    return work;
  }

  async #load(spec: RunSpec, { weights }: Assignment): Promise<void> {
    const wanted = `${spec.training.microBatch} ${JSON.stringify(spec.model)}`;
    const flat =
      this.#weights === weights.sha256
        ? null
        : f32FromBytes(await this.#options.blobs.get(weights.sha256, weights.sizeBytes).catch(toJobFault));
    await this.#inTurn(async () => {
      const engine = this.#running();
      if (this.#loaded !== wanted) {
        this.#loaded = null;
        this.#weights = null;
        await engine.load(spec.model, spec.training.microBatch);
        this.#loaded = wanted;
      }
      if (this.#weights === weights.sha256) return;
      // Only when the model or another job changed the weights since they were looked at above.
      const values = flat ?? f32FromBytes(await this.#options.blobs.get(weights.sha256, weights.sizeBytes));
      this.#weights = null;
      await engine.setWeights(values);
      this.#weights = weights.sha256;
    });
  }

  /** One micro-batch: rows `from` to `to`, padded to `rows`. Throws a JobFault or a DeviceFault; null where the job is gone. */
  async compute(
    key: string,
    from: number,
    to: number,
    rows: number,
  ): Promise<{ readonly lossSum: number; readonly busyMs: number } | null> {
    const { data, clock } = this.#options;
    const piece = this.#pieces.get(key);
    if (piece === undefined) return null;
    const batch = await data.batch(piece.work, from, to, rows).catch(toJobFault);
    return this.#inTurn(async () => {
      if (!this.#pieces.has(key)) return null;
      const beganMs = clock.now();
      const { lossSum, gradientSum } = await this.#running().step(batch);
      const busyMs = Math.max(0, clock.now() - beganMs);
      if (piece.sum === null) piece.sum = gradientSum.slice();
      else add(piece.sum, gradientSum);
      piece.lossSum += lossSum;
      piece.busyMs += busyMs;
      return { lossSum, busyMs };
    });
  }

  /** Mean gradient, encoded, hashed, signed; resolves with its length. Throws a JobFault; null where the job is gone. */
  async pack(key: string): Promise<number | null> {
    const { identity, hash } = this.#options;
    const piece = this.#pieces.get(key);
    if (piece === undefined || piece.sum === null) return null;
    const { assignment, spec } = piece.work;
    const codec = codecNamed(assignment.codec);
    if (codec === undefined) throw new JobFault("wrong-codec", `There is no codec "${assignment.codec}" here.`);
    const mean = piece.sum;
    for (let at = 0; at < mean.length; at++) mean[at] = (mean[at] as number) / assignment.samples;
    const lossMean = Math.fround(piece.lossSum / assignment.samples);
    if (!Number.isFinite(lossMean)) throw new JobFault("not-finite", "The loss is not a finite number.");
    const encoded = codec.encode(mean, { seed: spec.seed, lease: leaseNumber(assignment.lease) });
    if (!encoded.ok) throw new JobFault(encoded.fault, encoded.detail);
    piece.sum = null;
    const { bytes } = encoded;
    const header: ContributionHeader = {
      run: assignment.run,
      lease: assignment.lease,
      attempt: assignment.attempt,
      volunteer: identity.volunteer,
      base: assignment.weights.sha256,
      codec: assignment.codec,
      samples: assignment.samples,
      lossMean: f32ToHex(lossMean),
      computeMs: Math.round(piece.busyMs),
      sizeBytes: bytes.length,
      sha256: await hash(bytes),
    };
    piece.contribution = { header, signature: await identity.sign("weft-contribution-1", header), bytes };
    return bytes.length;
  }

  opening(key: string): { readonly header: ContributionHeader; readonly signature: Signature } | null {
    const contribution = this.#pieces.get(key)?.contribution;
    return contribution ? { header: contribution.header, signature: contribution.signature } : null;
  }

  /** The frame of one chunk, the same bytes each time it is asked for. */
  chunk(key: string, index: number): Uint8Array | null {
    const contribution = this.#pieces.get(key)?.contribution;
    if (!contribution) return null;
    const { run, lease, attempt } = contribution.header;
    return encodeFrame({ run, lease, attempt, index }, contribution.bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES));
  }

  discard(key: string): void {
    this.#pieces.delete(key);
  }

  #running(): VolunteerEngine {
    if (this.#engine === null) throw new Error("there is no engine");
    return this.#engine;
  }

  #dispose(): void {
    const engine = this.#engine;
    this.#engine = null;
    this.#loaded = null;
    this.#weights = null;
    engine?.dispose();
  }

  /** All calls to the engine one after another. What the engine throws becomes a DeviceFault; job and blob faults pass. */
  #inTurn<T>(call: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(call).catch((error: unknown) => {
      if (error instanceof JobFault || error instanceof BlobFault) return toJobFault(error);
      throw new DeviceFault(error instanceof Error ? error.message : String(error), { cause: error });
    });
    this.#turn = result.catch(() => {});
    return result;
  }

  async #document<T>(
    { sha256, sizeBytes }: { readonly sha256: string; readonly sizeBytes: number },
    parse: (value: unknown) => T,
  ): Promise<T> {
    const known = this.#documents.get(sha256);
    if (known !== undefined) return known as T;
    const bytes = await this.#options.blobs.get(sha256, sizeBytes).catch(toJobFault);
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch {
      throw new JobFault("bad-message", `Blob ${sha256.slice(0, 12)} is no JSON.`);
    }
    const parsed = parse(value);
    if (this.#documents.size >= DOCUMENTS_KEPT) this.#documents.clear();
    this.#documents.set(sha256, parsed);
    return parsed;
  }
}

function add(sum: Float32Array, more: Float32Array): void {
  if (more.length !== sum.length) throw new Error(`the engine gave ${more.length} gradients after ${sum.length}`);
  for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] as number) + (more[at] as number);
}

function toJobFault(error: unknown): never {
  if (error instanceof JobFault) throw error;
  if (error instanceof BlobFault) throw new JobFault(error.code, error.message);
  throw new JobFault("bad-dataset", error instanceof Error ? error.message : String(error));
}
