// An engine that outlives its GPU: when the device is lost it opens another one, or goes on in WASM, loads what was loaded and computes the
// call in hand again. A step changes nothing but what it answers, so nothing is lost and nothing counts twice. Knows no model.
import type { DeviceInfo, ModelSpec } from "@weft/protocol";
import type { Batch, EvaluationResult, StepResult } from "@weft/tensors";
import type { Engine, SelfTestResult } from "./engine.ts";

/** How long after a failed call word of the device's loss is waited for: the one may come shortly before the other. */
const WORD_MS = 500;

export interface SteadyOptions {
  /** An engine in the place of one that was lost, `losses` losses in; rejects where there is none. */
  readonly reopen: (losses: number, before: Engine) => Promise<Engine>;
  /** Rejects never. */
  readonly sleep: (ms: number) => Promise<void>;
}

export class SteadyEngine implements Engine {
  readonly lost: Promise<string>;
  #giveUp: (message: string) => void = () => undefined;
  readonly #options: SteadyOptions;
  #engine: Engine;
  #word: string | null = null;
  /** Of the call in hand. */
  #fail: ((error: Error) => void) | null = null;
  #losses = 0;
  #loaded: { readonly model: ModelSpec; readonly microBatch: number } | null = null;
  #weights: Float32Array | null = null;
  #disposed = false;

  constructor(first: Engine, options: SteadyOptions) {
    this.#options = options;
    this.#engine = first;
    this.lost = new Promise((resolve) => {
      this.#giveUp = resolve;
    });
    this.#watch(first);
  }

  get device(): DeviceInfo {
    return this.#engine.device;
  }

  selfTest(): Promise<SelfTestResult> {
    return this.#call((engine) => engine.selfTest());
  }

  async load(model: ModelSpec, microBatch: number): Promise<void> {
    await this.#call((engine) => engine.load(model, microBatch));
    const same = this.#loaded !== null && JSON.stringify(this.#loaded) === JSON.stringify({ model, microBatch });
    this.#loaded = { model, microBatch };
    if (!same) this.#weights = null;
  }

  async setWeights(flat: Float32Array): Promise<void> {
    await this.#call((engine) => engine.setWeights(flat));
    // A device that is lost takes its own copy with it.
    if (this.#weights?.length === flat.length) this.#weights.set(flat);
    else this.#weights = flat.slice();
  }

  step(batch: Batch): Promise<StepResult> {
    return this.#call((engine) => engine.step(batch));
  }
  evaluate(batch: Batch): Promise<EvaluationResult> {
    return this.#call((engine) => engine.evaluate(batch));
  }
  logits(inputs: Float32Array | Int32Array, rows: number): Promise<Float32Array> {
    return this.#call((engine) => engine.logits(inputs, rows));
  }

  dispose(): void {
    this.#disposed = true;
    this.#engine.dispose();
  }

  /** One handler a device, whatever the number of calls. */
  #watch(engine: Engine): void {
    this.#word = null;
    void engine.lost.then((message) => {
      if (engine !== this.#engine) return;
      this.#word = message;
      this.#fail?.(new Error(message));
    });
  }

  async #call<T>(run: (engine: Engine) => Promise<T>): Promise<T> {
    for (;;)
      try {
        if (this.#word !== null) throw new Error(this.#word);
        return await new Promise<T>((resolve, reject) => {
          this.#fail = reject;
          run(this.#engine).then(resolve, reject);
        });
      } catch (error) {
        this.#fail = null;
        if (this.#disposed) throw error;
        if (this.#word === null) await this.#options.sleep(WORD_MS);
        if (this.#word === null) throw error;
        await this.#recover(this.#word);
      } finally {
        this.#fail = null;
      }
  }

  async #recover(word: string): Promise<void> {
    const before = this.#engine;
    this.#losses += 1;
    before.dispose();
    try {
      this.#engine = await this.#options.reopen(this.#losses, before);
    } catch (error) {
      this.#giveUp(word);
      throw error;
    }
    this.#watch(this.#engine);
    try {
      if (this.#loaded !== null) await this.#engine.load(this.#loaded.model, this.#loaded.microBatch);
      if (this.#weights !== null) await this.#engine.setWeights(this.#weights);
    } catch (error) {
      // Lost again meanwhile: whoever called finds the word and recovers once more.
      if (this.#word === null) await this.#options.sleep(WORD_MS);
      if (this.#word === null) throw error;
    }
  }
}
