// The engine on TensorFlow.js: holds the loaded computation, and trusts a device with a kind of model once its gradients were right.
import * as tf from "@tensorflow/tfjs-core";
import { scoreLogits } from "@weft/models";
import type { DeviceInfo, ModelSpec } from "@weft/protocol";
import type { Batch, EvaluationResult, StepResult } from "@weft/tensors";
import type { Backend } from "./backend.ts";
import { Computation } from "./computation.ts";
import { type Engine, EngineUnfitError, type SelfTestResult } from "./engine.ts";
import { testAndStrike } from "./self-test.ts";

export class TfEngine implements Engine {
  readonly lost: Promise<string>;
  readonly #backend: Backend;
  #loaded: Computation | null = null;
  /** Kinds of model whose gradients have been found right. */
  readonly #trusted = new Set<ModelSpec["kind"]>();
  /** Kernels that were found wrong on this device and are not used. */
  readonly #struck = new Set<string>();

  constructor(backend: Backend) {
    // Without it TensorFlow.js prints advice about Node and checks every result in debug mode.
    tf.env().set("PROD", true);
    this.#backend = backend;
    this.lost = backend.lost;
  }

  get device(): DeviceInfo {
    return this.#backend.info;
  }

  selfTest(): Promise<SelfTestResult> {
    const kind = this.#loaded?.model.kind ?? "mlp";
    return this.#test(kind === "mlp" ? ["mlp"] : ["mlp", kind]);
  }

  async load(model: ModelSpec, microBatch: number): Promise<void> {
    if (this.#loaded !== null && this.#loaded.microBatch === microBatch && sameModel(this.#loaded.model, model)) return;
    this.#loaded?.dispose();
    this.#loaded = null;
    if (!this.#trusted.has(model.kind)) {
      const result = await this.#test([model.kind]);
      if (!result.passed) throw new EngineUnfitError(result.detail);
    }
    const computation = new Computation(this.#backend, model, microBatch);
    try {
      await computation.prepare();
    } catch (error) {
      computation.dispose();
      throw error;
    }
    this.#loaded = computation;
  }

  async setWeights(flat: Float32Array): Promise<void> {
    this.#computation().setWeights(flat);
  }

  async step(batch: Batch): Promise<StepResult> {
    return this.#computation().step(batch);
  }

  async evaluate(batch: Batch): Promise<EvaluationResult> {
    const computation = this.#computation();
    return scoreLogits(computation.model, await computation.logits(batch.inputs, batch.rows), batch);
  }

  async logits(inputs: Float32Array | Int32Array, rows: number): Promise<Float32Array> {
    return this.#computation().logits(inputs, rows);
  }

  dispose(): void {
    this.#loaded?.dispose();
    this.#loaded = null;
    this.#backend.dispose();
  }

  async #test(kinds: readonly ModelSpec["kind"][]): Promise<SelfTestResult> {
    const { result, struck } = await testAndStrike(this.#backend, kinds, this.#struck);
    for (const name of struck) this.#struck.add(name);
    if (!result.passed) return result;
    for (const kind of kinds) this.#trusted.add(kind);
    const without = [...this.#struck].join(", ");
    return without === "" ? result : { ...result, detail: `${result.detail}, without ${without}` };
  }

  #computation(): Computation {
    if (this.#loaded === null) throw new Error("No model is loaded");
    return this.#loaded;
  }
}

const sameModel = (a: ModelSpec, b: ModelSpec): boolean => JSON.stringify(a) === JSON.stringify(b);
