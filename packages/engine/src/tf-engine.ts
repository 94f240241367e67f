// The engine on TensorFlow.js: holds the loaded computation, and moves a model that the chosen backend cannot train to one that can.
import * as tf from "@tensorflow/tfjs-core";
import { scoreLogits } from "@weft/models";
import type { DeviceInfo, ModelSpec } from "@weft/protocol";
import type { Batch, EvaluationResult, StepResult } from "@weft/tensors";
import type { Backend } from "./backend.ts";
import { Computation } from "./computation.ts";
import { type Engine, EngineUnfitError, type SelfTestResult } from "./engine.ts";
import { openCpu } from "./host-backends.ts";
import { testAndStrike } from "./self-test.ts";

export class TfEngine implements Engine {
  readonly lost: Promise<string>;
  readonly #chosen: Backend;
  #inUse: Backend;
  #loaded: Computation | null = null;
  /** Backend and kind of model whose gradients have been found right. */
  readonly #trusted = new Set<string>();
  /** Kernels that were found wrong on this device and are not used. */
  readonly #struck = new Set<string>();

  constructor(chosen: Backend) {
    // Without it TensorFlow.js prints advice about Node and checks every result in debug mode.
    tf.env().set("PROD", true);
    this.#chosen = chosen;
    this.#inUse = chosen;
    this.lost = chosen.lost;
  }

  get device(): DeviceInfo {
    return this.#inUse.info;
  }

  selfTest(): Promise<SelfTestResult> {
    const kind = this.#loaded?.model.kind ?? "mlp";
    return this.#test(this.#inUse, kind === "mlp" ? ["mlp"] : ["mlp", kind]);
  }

  async load(model: ModelSpec, microBatch: number): Promise<void> {
    if (this.#loaded !== null && this.#loaded.microBatch === microBatch && sameModel(this.#loaded.model, model)) return;
    this.#loaded?.dispose();
    this.#loaded = null;
    this.#inUse = this.#chosen.trains(model.kind) ? this.#chosen : await openCpu();
    if (!this.#trusted.has(trustOf(this.#inUse, model.kind))) {
      const result = await this.#test(this.#inUse, [model.kind]);
      if (!result.passed) throw new EngineUnfitError(result.detail);
    }
    const computation = new Computation(this.#inUse, model, microBatch);
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
    this.#chosen.dispose();
  }

  async #test(backend: Backend, kinds: readonly ModelSpec["kind"][]): Promise<SelfTestResult> {
    const { result, struck } = await testAndStrike(backend, kinds, this.#struck);
    for (const name of struck) this.#struck.add(name);
    if (!result.passed) return result;
    for (const kind of kinds) this.#trusted.add(trustOf(backend, kind));
    const without = [...this.#struck].join(", ");
    return without === "" ? result : { ...result, detail: `${result.detail}, without ${without}` };
  }

  #computation(): Computation {
    if (this.#loaded === null) throw new Error("No model is loaded");
    return this.#loaded;
  }
}

const trustOf = (backend: Backend, kind: ModelSpec["kind"]): string => `${backend.info.backend} ${kind}`;

const sameModel = (a: ModelSpec, b: ModelSpec): boolean => JSON.stringify(a) === JSON.stringify(b);
