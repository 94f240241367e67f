// Where assignments are worked on: fetch and check what a lease needs, add up micro-batches on the engine, or let it take all of a lease's steps
// and, where its device can, encode what they come to; encode what it did not, and sign the result.
// Keeps the bytes of a contribution until its lease is over, so that a resend sends the same ones. Knows no connection and no state machine.
import {
  type Assignment,
  CHUNK_BYTES,
  type ContributionHeader,
  DatasetManifest,
  encodeFrame,
  f32ToHex,
  parseRunSpec,
  type Signature,
} from "@weft/protocol";
import { type Batch, type Codec, codecNamed, encodeWithResidual, type LeaseResult, type StepBatches } from "@weft/tensors";
import { BlobFault } from "./blobs.ts";
import { DeviceFault, JobFault } from "./faults.ts";
import { leaseWorkOf, localStepsOf, streamOf } from "./lease-work.ts";
import { LocalLease } from "./local-lease.ts";
import { type Plan, pieceAt, pieces, planOf } from "./plan.ts";
import {
  type BlobSource,
  type Clock,
  type Hash,
  type SelfTest,
  sameDevice,
  type VolunteerData,
  type VolunteerEngine,
  type VolunteerIdentity,
  type Work,
} from "./ports.ts";
import { type ResidualStore, Residuals, type Taken, type Verdict } from "./residuals.ts";
import { WeightsSource, type WeightsWay } from "./weights.ts";

export interface TestedDevice {
  readonly selfTest: SelfTest;
  readonly device: VolunteerEngine["device"];
}

/** What is in hand of one assignment. */
interface Piece {
  readonly work: Work;
  readonly plan: Plan;
  /** Null where each piece is a call to the engine: a gradient that its device does not encode. */
  readonly local: LocalLease | null;
  /** The sum of the gradients so far; or what all steps came to, when they are done, encoded where the device could. */
  update: LeaseResult["update"] | null;
  lossSum: number;
  busyMs: number;
  contribution: { readonly header: ContributionHeader; readonly signature: Signature; readonly bytes: Uint8Array } | null;
  /** The run's residual, since it was asked for; of codecs with error feedback. */
  taken: Promise<Taken> | null;
  /** What the encoded update does not say. */
  rest: Promise<Float32Array | null>;
}

export interface WorkbenchOptions {
  readonly createEngine: () => Promise<VolunteerEngine>;
  /** The engine goes on with another device than the last that was told; it has been tested. */
  readonly onDevice: (device: TestedDevice) => void;
  readonly data: VolunteerData;
  readonly identity: VolunteerIdentity;
  readonly blobs: BlobSource;
  readonly hash: Hash;
  readonly clock: Clock;
  readonly residuals: ResidualStore | null;
  /** Weights came, in this way. */
  readonly onWeights: (way: WeightsWay) => void;
}

const NOTHING = Promise.resolve(null);

/** Parsed documents kept: one run's specification and manifest serve all its leases. */
const DOCUMENTS_KEPT = 16;

export class Workbench {
  readonly #options: WorkbenchOptions;
  readonly #pieces = new Map<string, Piece>();
  readonly #documents = new Map<string, unknown>();
  readonly #residuals: Residuals;
  readonly #source: WeightsSource;
  #engine: VolunteerEngine | null = null;
  /** The device as it was last told. */
  #told: VolunteerEngine["device"] | null = null;
  /** What is on the engine: the model with its micro-batch, and the weights by hash. */
  #loaded: string | null = null;
  #weights: string | null = null;
  /** Weights of the next lease, fetched while the engine takes the local steps of another. */
  #ahead: { readonly sha256: string; readonly weights: Float32Array } | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  /** Local steps that run now: the engine is not free before they end. */
  #stepping = 0;

  constructor(options: WorkbenchOptions) {
    this.#options = options;
    this.#residuals = new Residuals(options.residuals);
    this.#source = new WeightsSource(options.blobs, options.hash, options.onWeights);
  }

  /** Makes the engine where there is none, or `anew`, and tests it. Throws a DeviceFault. */
  test(anew: boolean): Promise<TestedDevice> {
    return this.#inTurn(async () => {
      if (anew) this.#dispose();
      this.#engine ??= await this.#options.createEngine();
      return this.#tested(this.#engine);
    });
  }

  async #tested(engine: VolunteerEngine): Promise<TestedDevice> {
    const selfTest = await engine.selfTest();
    this.#told = engine.device;
    return { selfTest, device: engine.device };
  }

  /** Tells of another device. */
  async #lookAtDevice(engine: VolunteerEngine): Promise<void> {
    if (this.#told !== null && !sameDevice(this.#told, engine.device)) this.#options.onDevice(await this.#tested(engine));
  }

  /** Frees the device after what is running on it. Never rejects. */
  free(): Promise<void> {
    return this.#inTurn(async () => this.#dispose()).catch(() => {});
  }

  /**
   * Fetches and checks all that the assignment needs, and puts it on the engine unless that is at another lease's local steps. Throws a
   * JobFault or a DeviceFault.
   */
  async prepare(key: string, assignment: Assignment): Promise<{ readonly work: Work; readonly plan: Plan }> {
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
    const { codec } = spec.training;
    // A run of a biased codec has another for those who have not stayed for long yet.
    if (codec !== assignment.codec && codec !== "auto" && codec !== "sign" && codec !== "topk")
      throw new JobFault("wrong-codec", `The run is encoded as ${codec}, the lease asks for ${assignment.codec}.`);
    if (assignment.weights.sizeBytes % 4 !== 0) throw new JobFault("wrong-length", "The weights are no whole number of f32 values.");
    const plan = planOf(spec, assignment);
    if (plan === null) throw new JobFault("bad-message", `${assignment.samples} samples are no whole number of epochs of a client.`);
    const work: Work = { assignment, spec, manifest };
    const local = spec.training.mode === "local-steps" || this.#packs(assignment) ? this.#localLease(work, plan) : null;
    this.#pieces.set(key, { work, plan, local, update: null, lossSum: 0, busyMs: 0, contribution: null, taken: null, rest: NOTHING });
    const weights = this.#weights === assignment.weights.sha256 ? null : await this.#fetchWeights(work).catch(toJobFault);
    await local?.prefetch();
    if (this.#stepping > 0) this.#ahead = weights === null ? null : { sha256: assignment.weights.sha256, weights };
    else await this.#inTurn(() => this.#load(work, weights));
    return { work, plan };
  }

  #fetchWeights = ({ assignment, spec }: Work): Promise<Float32Array> => this.#source.get(assignment, spec.training.downlink === "int8");

  /** Model and weights on the engine, in its turn. `weights`: where they were fetched. */
  async #load(work: Work, weights: Float32Array | null): Promise<void> {
    const { spec, assignment } = work;
    const { microBatch, precision = "f32" } = spec.training;
    const wanted = `${microBatch} ${precision} ${JSON.stringify(spec.model)}`;
    const { sha256 } = assignment.weights;
    const engine = this.#running();
    if (this.#loaded !== wanted) {
      this.#loaded = null;
      this.#weights = null;
      await engine.load(spec.model, microBatch, precision);
      this.#loaded = wanted;
    }
    await this.#lookAtDevice(engine);
    if (this.#weights === sha256) return;
    const ahead = this.#ahead?.sha256 === sha256 ? this.#ahead.weights : null;
    this.#ahead = null;
    // Fetched anew only where another job changed the weights since they were looked at.
    const values = weights ?? ahead ?? (await this.#fetchWeights(work));
    this.#weights = null;
    await engine.setWeights(values);
    this.#weights = sha256;
  }

  /** One piece of the lease's plan. Throws a JobFault or a DeviceFault; null where the job is gone. */
  async compute(key: string, index: number): Promise<{ readonly lossSum: number; readonly busyMs: number } | null> {
    const piece = this.#pieces.get(key);
    if (piece === undefined) return null;
    return piece.local === null ? this.#microBatch(key, piece, index) : this.#localStep(key, piece, piece.local, index);
  }

  async #microBatch(key: string, piece: Piece, index: number): Promise<{ readonly lossSum: number; readonly busyMs: number } | null> {
    const { data, clock } = this.#options;
    const { from, to } = pieceAt(piece.plan, index);
    const batch = await data.batch(piece.work, from, to, piece.plan.piece).catch(toJobFault);
    return this.#inTurn(async () => {
      if (!this.#pieces.has(key)) return null;
      await this.#load(piece.work, null);
      const beganMs = clock.now();
      const engine = this.#running();
      const { lossSum, gradientSum } = await engine.step(batch);
      const busyMs = Math.max(0, clock.now() - beganMs);
      await this.#lookAtDevice(engine);
      if (piece.update instanceof Float32Array) add(piece.update, gradientSum);
      else piece.update = gradientSum.slice();
      piece.lossSum += lossSum;
      piece.busyMs += busyMs;
      return { lossSum, busyMs };
    });
  }

  /** Samples' losses are known when the last step is done. */
  async #localStep(
    key: string,
    piece: Piece,
    local: LocalLease,
    step: number,
  ): Promise<{ readonly lossSum: number; readonly busyMs: number } | null> {
    const busyMs = await local.take(step, (batches) => this.#inTurn(() => this.#steps(key, piece, local, batches)));
    if (busyMs === null) return null;
    piece.busyMs += busyMs;
    const { result } = local;
    if (result === null) return { lossSum: 0, busyMs };
    if (result.samples !== piece.work.assignment.samples)
      throw new JobFault("wrong-sample-count", `The steps took ${result.samples} samples of ${piece.work.assignment.samples}.`);
    piece.update = result.update;
    piece.rest = result.rest ?? NOTHING;
    piece.lossSum = result.lossSum;
    return { lossSum: result.lossSum, busyMs };
  }

  async #steps(key: string, piece: Piece, local: LocalLease, batches: StepBatches): Promise<LeaseResult | null> {
    const { work, plan } = piece;
    if (!this.#pieces.has(key)) return null;
    this.#stepping += 1;
    try {
      await this.#load(work, null);
      const engine = this.#running();
      // A gradient that was to be encoded on a device which has gone since comes back as f32.
      const whole = this.#packs(work.assignment) || work.spec.training.mode === "gradient" ? engine.packing : undefined;
      const result = await (whole === undefined
        ? engine.localSteps(localStepsOf(work, plan), batches)
        : whole.update(leaseWorkOf(work, plan), batches, () => local.during(async () => (await this.#residual(piece)).residual)));
      await this.#lookAtDevice(engine);
      return result;
    } finally {
      this.#stepping -= 1;
    }
  }

  /** Once for each piece, however often its device is lost; in its hands until it is discarded. */
  #residual(piece: Piece): Promise<Taken> {
    const { run, weights } = piece.work.assignment;
    piece.taken ??= this.#residuals.take(run, weights.sizeBytes / 4);
    return piece.taken;
  }

  #packs = ({ codec }: Assignment): boolean => this.#engine?.packing?.codecs.includes(codec) === true;

  #localLease(work: Work, plan: Plan): LocalLease {
    const { data, clock } = this.#options;
    const { microBatch } = work.spec.training;
    const samples = (step: number): Promise<readonly Batch[]> => {
      const { from, to } = pieceAt(plan, step);
      const starts = Array.from({ length: Math.ceil((to - from) / microBatch) }, (_, index) => from + index * microBatch);
      return Promise.all(starts.map((start) => data.batch(work, start, Math.min(start + microBatch, to), microBatch))).catch(toJobFault);
    };
    return new LocalLease({ steps: pieces(plan), samples, clock });
  }

  /** Mean gradient or what the local steps changed, encoded, hashed, signed; resolves with its length. Throws a JobFault; null: the job is gone. */
  async pack(key: string): Promise<number | null> {
    const { identity, hash } = this.#options;
    const piece = this.#pieces.get(key);
    if (piece === undefined || piece.update === null) return null;
    const { assignment } = piece.work;
    const codec = codecNamed(assignment.codec);
    if (codec === undefined) throw new JobFault("wrong-codec", `There is no codec "${assignment.codec}" here.`);
    const { update } = piece;
    if (piece.local === null && update instanceof Float32Array)
      for (let at = 0; at < update.length; at++) update[at] = (update[at] as number) / assignment.samples;
    const lossMean = Math.fround(piece.lossSum / assignment.samples);
    if (!Number.isFinite(lossMean)) throw new JobFault("not-finite", "The loss is not a finite number.");
    const bytes = await this.#encode(key, piece, codec, update);
    if (bytes === null) return null;
    piece.update = null;
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

  /** Null where the job is gone by the time that it may be encoded. */
  async #encode(key: string, piece: Piece, codec: Codec, update: LeaseResult["update"]): Promise<Uint8Array | null> {
    const { assignment } = piece.work;
    if (!(update instanceof Float32Array)) {
      if (!update.ok) throw new JobFault(update.fault, update.detail);
      return codec.seal?.(update.bytes, assignment.weights.sizeBytes / 4) ?? update.bytes;
    }
    const stream = streamOf(piece.work);
    if (codec.feedback === undefined) {
      const encoded = codec.encode(update, stream);
      if (!encoded.ok) throw new JobFault(encoded.fault, encoded.detail);
      return encoded.bytes;
    }
    const { residual } = await this.#residual(piece);
    if (this.#pieces.get(key) !== piece) return null;
    const encoded = encodeWithResidual(codec, codec.feedback, residual, update, stream);
    if (!encoded.ok) throw new JobFault(encoded.fault, encoded.detail);
    piece.rest = Promise.resolve(encoded.rest);
    return encoded.bytes;
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

  /** `verdict`: on the contribution, if there was one. */
  discard(key: string, verdict: Verdict): void {
    const piece = this.#pieces.get(key);
    this.#pieces.delete(key);
    piece?.local?.giveUp();
    // What was never ready to be sent cannot have been admitted.
    void piece?.taken?.then(({ settle }) => settle(piece.contribution === null ? "refused" : verdict, piece.rest));
  }

  #running(): VolunteerEngine {
    if (this.#engine === null) throw new Error("there is no engine");
    return this.#engine;
  }

  #dispose(): void {
    const engine = this.#engine;
    this.#engine = null;
    this.#told = null;
    this.#loaded = null;
    this.#weights = null;
    this.#ahead = null;
    this.#source.forget();
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
