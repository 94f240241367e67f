// The engine on TensorFlow.js: holds the loaded computation, and trusts a device with a kind of model once its gradients were right.
import * as tf from "@tensorflow/tfjs-core";
import { scoreLogits } from "@weft/models";
import type { DeviceInfo, ModelSpec, Precision } from "@weft/protocol";
import type { Batch, DevicePacking, EvaluationResult, LocalSteps, LocalStepsResult, StepBatches, StepResult } from "@weft/tensors";
import { type Backend, DeviceMemoryError } from "./backend.ts";
import { Computation } from "./computation.ts";
import { type Engine, EngineUnfitError, type SelfTestResult } from "./engine.ts";
import { stepInPieces } from "./micro-batches.ts";
import { testAndStrike, testHalf } from "./self-test.ts";

export class TfEngine implements Engine {
  readonly lost: Promise<string>;
  readonly packing: DevicePacking;
  readonly #backend: Backend;
  /** For batches of `microBatch` rows as asked for, or of fewer where the device's memory does not hold them. */
  #loaded: { readonly computation: Computation; readonly microBatch: number; readonly asked: Precision } | null = null;
  #weights: Float32Array | null = null;
  /** Kinds of model whose gradients have been found right. */
  readonly #trusted = new Set<ModelSpec["kind"]>();
  /** The same in half precision. */
  readonly #trustedInHalf = new Set<ModelSpec["kind"]>();
  /** Kernels that were found wrong on this device and are not used. */
  readonly #struck = new Set<string>();

  /** `before`: the engine of a device that was lost; what was found out of the same device still holds. */
  constructor(backend: Backend, before?: TfEngine) {
    // Without it TensorFlow.js prints advice about Node and checks every result in debug mode.
    tf.env().set("PROD", true);
    this.#backend = backend;
    this.lost = backend.lost;
    this.packing = {
      codecs: backend.encoders?.codecs ?? [],
      update: (work, batches, residual) => this.#withRoom((computation) => computation.leaseUpdate(work, batches, residual)),
    };
    for (const name of backend.optional.remembered) this.#struck.add(name);
    if (before === undefined || !sameDevice(before.device, backend.info)) return;
    for (const kind of before.#trusted) this.#trusted.add(kind);
    for (const kind of before.#trustedInHalf) this.#trustedInHalf.add(kind);
    for (const name of before.#struck) {
      this.#struck.add(name);
      if (backend.optional.names.includes(name)) backend.optional.strike(name);
    }
  }

  get device(): DeviceInfo {
    return this.#backend.info;
  }

  selfTest(): Promise<SelfTestResult> {
    const kind = this.#loaded?.computation.model.kind ?? "mlp";
    return this.#test(kind === "mlp" ? ["mlp"] : ["mlp", kind]);
  }

  get precision(): Precision {
    return this.#loaded?.computation.precision ?? "f32";
  }

  async load(model: ModelSpec, microBatch: number, asked: Precision = "f32"): Promise<void> {
    const loaded = this.#loaded;
    if (loaded?.microBatch === microBatch && loaded.asked === asked && sameModel(loaded.computation.model, model)) return;
    this.#unload();
    this.#weights = null;
    if (!this.#trusted.has(model.kind)) {
      const result = await this.#test([model.kind]);
      if (!result.passed) throw new EngineUnfitError(result.detail);
    }
    const precision = asked === "f16" && (await this.#halfIsRight(model.kind)) ? "f16" : "f32";
    const rows = Math.min(microBatch, (await this.#backend.capacity?.rows(model)) ?? microBatch);
    this.#loaded = { computation: await this.#prepared(model, rows, precision), microBatch, asked };
    for (const name of this.#backend.optional.remembered) this.#struck.add(name);
  }

  async setWeights(flat: Float32Array): Promise<void> {
    this.#computation().setWeights(flat);
    this.#weights = flat;
  }

  async step(batch: Batch): Promise<StepResult> {
    const { microBatch } = this.#loaded ?? { microBatch: batch.rows };
    if (batch.rows !== microBatch) throw new Error(`A batch of ${batch.rows} rows where ${microBatch} were loaded`);
    return this.#withRoom((computation) => stepInPieces((piece) => computation.step(piece), batch, computation.microBatch));
  }

  localSteps(work: LocalSteps, batches: StepBatches): Promise<LocalStepsResult | null> {
    return this.#withRoom((computation) => computation.localSteps(work, batches));
  }

  async evaluate(batch: Batch): Promise<EvaluationResult> {
    const computation = this.#computation();
    return scoreLogits(computation.model, await computation.logits(batch.inputs, batch.rows), batch);
  }

  async logits(inputs: Float32Array | Int32Array, rows: number): Promise<Float32Array> {
    return this.#computation().logits(inputs, rows);
  }

  dispose(): void {
    this.#unload();
    this.#backend.dispose();
  }

  #unload(): void {
    this.#loaded?.computation.dispose();
    this.#loaded = null;
  }

  async #prepared(model: ModelSpec, rows: number, precision: Precision): Promise<Computation> {
    const computation = new Computation(this.#backend, model, rows, precision);
    try {
      await computation.prepare();
      return computation;
    } catch (error) {
      computation.dispose();
      throw error;
    }
  }

  /** Computes, all over again on smaller pieces where the device's memory is full. */
  async #withRoom<T>(compute: (computation: Computation) => Promise<T>): Promise<T> {
    for (;;)
      try {
        return await compute(this.#computation());
      } catch (error) {
        if (!(error instanceof DeviceMemoryError)) throw error;
        await this.#shrink(error);
      }
  }

  /** Goes on with batches of half as many rows, now and at later visits of this device. Throws where there is nothing left to halve. */
  async #shrink(fault: DeviceMemoryError): Promise<void> {
    const loaded = this.#loaded;
    if (loaded === null || loaded.computation.microBatch === 1) throw fault;
    const { model, precision } = loaded.computation;
    const rows = Math.ceil(loaded.computation.microBatch / 2);
    this.#unload();
    const computation = await this.#prepared(model, rows, precision);
    if (this.#weights !== null) computation.setWeights(this.#weights);
    this.#loaded = { ...loaded, computation };
    await this.#backend.capacity?.remember(model, rows);
  }

  /** A device that gets it wrong does without it from then on: f32 is its slower twin. */
  async #halfIsRight(kind: ModelSpec["kind"]): Promise<boolean> {
    const { half, optional } = this.#backend;
    if (half?.usable !== true) return false;
    if (this.#trustedInHalf.has(kind)) return true;
    const { passed } = await testHalf(this.#backend, kind);
    if (passed) {
      this.#trustedInHalf.add(kind);
      return true;
    }
    optional.strike(half.name);
    this.#struck.add(half.name);
    await optional.remember([...this.#struck]);
    return false;
  }

  async #test(kinds: readonly ModelSpec["kind"][]): Promise<SelfTestResult> {
    const { result, struck } = await testAndStrike(this.#backend, kinds, this.#struck);
    for (const name of struck) this.#struck.add(name);
    if (struck.length > 0) await this.#backend.optional.remember([...this.#struck]);
    if (!result.passed) return result;
    for (const kind of kinds) this.#trusted.add(kind);
    const without = [...this.#struck].join(", ");
    return without === "" ? result : { ...result, detail: `${result.detail}, without ${without}` };
  }

  #computation(): Computation {
    if (this.#loaded === null) throw new Error("No model is loaded");
    return this.#loaded.computation;
  }
}

const sameDevice = (a: DeviceInfo, b: DeviceInfo): boolean => a.backend === b.backend && a.description === b.description;

const sameModel = (a: ModelSpec, b: ModelSpec): boolean => JSON.stringify(a) === JSON.stringify(b);
