// One model with fixed batch shape on one backend: weights in, batch in, sums out. Knows neither how the backend was chosen nor why.
import * as tf from "@tensorflow/tfjs-core";
import { layoutFor, sampleLength } from "@weft/models";
import { logits, lossSum, type ModelTensors, type NamedTensors } from "@weft/models/tf";
import { type ModelSpec, type Precision, readsText } from "@weft/protocol";
import {
  type Batch,
  type LeaseResult,
  type LeaseWork,
  type LocalSteps,
  type LocalStepsResult,
  type ParameterLayout,
  type ResidualNow,
  type StepBatches,
  type StepResult,
  samplesIn,
} from "@weft/tensors";
import type { Backend, Encoding, Packed, Packer, Parameters, Program, Trainer } from "./backend.ts";
import { added, piecesOf } from "./micro-batches.ts";

export class Computation {
  readonly model: ModelSpec;
  readonly microBatch: number;
  readonly precision: Precision;
  readonly layout: ParameterLayout;
  readonly #backend: Backend;
  readonly #parameters: Parameters;
  readonly #program: Program;
  /** As they were set; the caller's array. */
  #weights: Float32Array | null = null;
  /** Local steps have changed the parameters since. */
  #moved = false;
  /** Of the last local steps, and for which optimiser it is. */
  #trainer: { readonly trainer: Trainer; readonly made: string } | null = null;
  /** Whose state the trainer holds. */
  #state: string | null = null;
  /** Of the last update that was to be encoded on the device; null where that cannot be done. */
  #packer: { readonly packer: Packer | null; readonly codec: string } | null = null;

  constructor(backend: Backend, model: ModelSpec, microBatch: number, precision: Precision) {
    this.model = model;
    this.microBatch = microBatch;
    this.precision = precision;
    this.layout = layoutFor(model);
    this.#backend = backend;
    backend.use();
    this.#parameters = backend.parameters(this.layout);
    this.#program = backend.program(emptyBatch(model, microBatch), (tensors) => this.#lossAndGradients(tensors), precision);
  }

  setWeights(flat: Float32Array): void {
    if (flat.length !== this.layout.size) throw new Error(`${flat.length} weights for a model of ${this.layout.size}`);
    this.#backend.use();
    this.#parameters.write(flat);
    this.#weights = flat;
    this.#moved = false;
  }

  /** Compiles what `step` needs, where the backend compiles. */
  async prepare(): Promise<void> {
    this.#backend.use();
    await this.#program.prepare();
  }

  async step(batch: Batch): Promise<StepResult> {
    if (batch.rows !== this.microBatch) throw new Error(`A batch of ${batch.rows} rows where ${this.microBatch} were loaded`);
    this.#begin("step");
    const flat = await this.#program.run(batch);
    return { gradientSum: flat.slice(0, this.layout.size), lossSum: flat[this.layout.size] as number };
  }

  /** Batches may have more rows than `microBatch`. Null where the steps were given up. */
  async localSteps(work: LocalSteps, batchesOf: StepBatches): Promise<LocalStepsResult | null> {
    const base = this.#begin("localSteps");
    const trainer = await this.#trainerFor(work);
    const samples = await this.#take(trainer, work, batchesOf);
    if (samples === null) return null;
    const { weights: update, lossSum } = await trainer.read();
    for (let at = 0; at < update.length; at++) update[at] = (base[at] as number) - (update[at] as number);
    // Only now: what was given up or failed leaves no state behind.
    this.#state = work.state;
    return { update, lossSum, samples };
  }

  /** The lease's update, encoded where it was computed if the device can. Batches as for `localSteps`. Null where the work was given up. */
  async leaseUpdate(lease: LeaseWork, batchesOf: StepBatches, residual: ResidualNow): Promise<LeaseResult | null> {
    const packer = await this.#packerFor(lease.codec);
    const encoding = { stream: lease.stream, residual };
    switch (lease.kind) {
      case "gradient":
        return packer === null ? this.#gradient(lease.steps, batchesOf) : this.#packedGradient(packer, lease.steps, encoding, batchesOf);
      case "local-steps":
        return packer === null ? this.localSteps(lease.work, batchesOf) : this.#packedSteps(packer, lease.work, encoding, batchesOf);
      default:
        throw lease satisfies never;
    }
  }

  async #packedGradient(packer: Packer, steps: number, encoding: Encoding, batchesOf: StepBatches): Promise<LeaseResult | null> {
    this.#begin("leaseUpdate");
    packer.clear();
    const samples = await this.#forEach(steps, batchesOf, (pieces) => packer.add(pieces));
    if (samples === null) return null;
    return resultOf(await packer.mean(samples, encoding), samples);
  }

  async #packedSteps(packer: Packer, work: LocalSteps, encoding: Encoding, batchesOf: StepBatches): Promise<LeaseResult | null> {
    this.#begin("leaseUpdate");
    const trainer = await this.#trainerFor(work);
    packer.begin();
    const samples = await this.#take(trainer, work, batchesOf);
    if (samples === null) return null;
    const packed = await packer.change(trainer, encoding);
    if (packed !== null) this.#state = work.state;
    return resultOf(packed, samples);
  }

  async #gradient(steps: number, batchesOf: StepBatches): Promise<LeaseResult | null> {
    let sum: StepResult | null = null;
    const samples = await this.#forEach(steps, batchesOf, async (pieces) => {
      for (const piece of pieces) sum = added(sum, await this.step(piece));
    });
    if (samples === null) return null;
    const { gradientSum: update, lossSum } = sum as unknown as StepResult;
    for (let at = 0; at < update.length; at++) update[at] = (update[at] as number) / samples;
    return { update, lossSum, samples };
  }

  /** All steps of `work`; how many samples they had. Null where they were given up. */
  #take(trainer: Trainer, { steps, learningRate }: LocalSteps, batchesOf: StepBatches): Promise<number | null> {
    this.#moved = true;
    return this.#forEach(steps, batchesOf, (pieces, samples) => trainer.step(pieces, samples, learningRate));
  }

  /** `take` with the pieces of one step after another, and how many samples they have; all of them at last. Null where they were given up. */
  async #forEach(
    steps: number,
    batchesOf: StepBatches,
    take: (pieces: readonly Batch[], samples: number) => Promise<void>,
  ): Promise<number | null> {
    let samples = 0;
    for (let step = 0; step < steps; step++) {
      const batches = await batchesOf(step);
      if (batches === null) return null;
      const inStep = samplesIn(batches);
      if (inStep === 0) throw new Error(`Step ${step} has no samples`);
      this.#backend.use();
      await take(
        batches.flatMap((batch) => piecesOf(batch, this.microBatch)),
        inStep,
      );
      samples += inStep;
    }
    this.#backend.use();
    return samples;
  }

  async logits(inputs: Float32Array | Int32Array, rows: number): Promise<Float32Array> {
    this.#begin("logits");
    const output = tf.tidy(() => logits(this.model, this.#named(this.#parameters.tensors), inputTensor(inputs, rows)));
    try {
      return await this.#backend.read([output]);
    } finally {
      this.#backend.use();
      tf.dispose(output);
    }
  }

  dispose(): void {
    this.#backend.use();
    this.#trainer?.trainer.dispose();
    this.#packer?.packer?.dispose();
    this.#program.dispose();
    this.#parameters.dispose();
  }

  /** What every computation begins with: the backend in use and the weights that were set on it, which are returned. */
  #begin(call: string): Float32Array {
    if (this.#weights === null) throw new Error(`${call} before setWeights`);
    this.#backend.use();
    if (this.#moved) this.#parameters.write(this.#weights);
    this.#moved = false;
    return this.#weights;
  }

  /** With the state of that name, or zeros. */
  async #trainerFor({ optimizer, clipNorm, state }: LocalSteps): Promise<Trainer> {
    const made = JSON.stringify([optimizer, clipNorm]);
    if (this.#trainer?.made !== made) {
      this.#trainer?.trainer.dispose();
      this.#trainer = null;
      this.#state = null;
      const trainer = await this.#backend.trainer(this.#parameters, this.#program, { layout: this.layout, optimizer, clipNorm });
      this.#trainer = { trainer, made };
    }
    if (state === null || state !== this.#state) this.#trainer.trainer.reset();
    this.#state = null;
    return this.#trainer.trainer;
  }

  async #packerFor(codec: string): Promise<Packer | null> {
    if (this.#packer?.codec === codec) return this.#packer.packer;
    this.#packer?.packer?.dispose();
    this.#packer = null;
    const packer = (await this.#backend.encoders?.packer(codec, this.#parameters, this.#program, this.layout)) ?? null;
    this.#packer = { packer, codec };
    return packer;
  }

  /** The gradients in the layout's order, then the loss. */
  #lossAndGradients(batch: ModelTensors): tf.Tensor[] {
    return tf.tidy(() => {
      const loss = (...parameters: tf.Tensor[]): tf.Scalar => lossSum(this.model, this.#named(parameters), batch);
      const { value, grads } = tf.valueAndGrads(loss)([...this.#parameters.tensors]);
      return [...grads, value];
    });
  }

  #named(tensors: readonly tf.Tensor[]): NamedTensors {
    return new Map(this.layout.parameters.map(({ name }, index) => [name, tensors[index] as tf.Tensor]));
  }
}

function resultOf(packed: Packed | null, samples: number): LeaseResult | null {
  if (packed === null) return null;
  const { encoded: update, ...rest } = packed;
  return { update, ...rest, samples };
}

const inputTensor = (inputs: Float32Array | Int32Array, rows: number): tf.Tensor2D =>
  tf.tensor2d(inputs, [rows, inputs.length / rows], inputs instanceof Int32Array ? "int32" : "float32");

/** Of the right shapes and no consequence. */
function emptyBatch(model: ModelSpec, rows: number): Batch {
  const length = rows * sampleLength(model);
  const text = readsText(model);
  return {
    rows,
    inputs: text ? new Int32Array(length) : new Float32Array(length),
    targets: new Int32Array(text ? length : rows),
    weights: new Float32Array(rows),
  };
}
