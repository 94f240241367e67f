// An engine that outlives its GPU, or the threads it computes with: when the device is lost it opens another one, or goes on in WASM for good,
// loads what was loaded and computes the call in hand again. Steps that are light enough for it do not wait for that: WASM stands in until the
// other device is ready. A step changes nothing but what it answers, so nothing is lost and nothing counts twice. Knows no backend.
import type { DeviceInfo, ModelSpec, Precision } from "@weft/protocol";
import type { Batch, DevicePacking, EvaluationResult, LocalSteps, LocalStepsResult, StepBatches, StepResult } from "@weft/tensors";
import type { Engine, SelfTestResult } from "./engine.ts";
import { multiplyAdds } from "./step-cost.ts";

/** How long after a failed call word of the device's loss is waited for: the one may come shortly before the other. */
const WORD_MS = 500;
/** A step of as many multiply-adds takes WASM about half a second; another device, of which shaders are to be compiled, may take longer. */
const LIGHT_STEP = 1e9;

export interface SteadyOptions {
  /** An engine in the place of one that was lost, `losses` losses in; rejects where there is none. */
  readonly reopen: (losses: number, before: Engine) => Promise<Engine>;
  /** An engine that is made in an instant and is never lost; rejects where there is none. */
  readonly standIn: () => Promise<Engine>;
  /** Rejects never. */
  readonly sleep: (ms: number) => Promise<void>;
}

interface Loaded {
  readonly model: ModelSpec;
  readonly microBatch: number;
  readonly precision: Precision;
}
const isLight = ({ model, microBatch }: Loaded): boolean => multiplyAdds(model, microBatch) <= LIGHT_STEP;
const same = (a: Loaded | null, b: Loaded): boolean => a !== null && JSON.stringify(a) === JSON.stringify(b);

/** A question to the caller, for as long as the device that asks is there; null afterwards. */
type Still = <A extends unknown[], T>(ask: (...of: A) => Promise<T | null>) => (...of: A) => Promise<T | null>;

/** What comes in a stand-in's place. */
interface Successor {
  /** Ready; null: not yet, or never. */
  engine: Engine | null;
  /** Resolves when that is decided. */
  readonly decided: Promise<void>;
}

export class SteadyEngine implements Engine {
  readonly lost: Promise<string>;
  readonly packing: DevicePacking;
  #giveUp: (message: string) => void = () => undefined;
  readonly #options: SteadyOptions;
  #engine: Engine;
  /** Null: none stands in. */
  #successor: Successor | null = null;
  #word: string | null = null;
  /** Of the call in hand. */
  #fail: ((error: Error) => void) | null = null;
  #losses = 0;
  #loaded: Loaded | null = null;
  #weights: Float32Array | null = null;
  #disposed = false;

  constructor(first: Engine, options: SteadyOptions) {
    this.#options = options;
    this.lost = new Promise((resolve) => {
      this.#giveUp = resolve;
    });
    this.#engine = first;
    this.#watch(first);
    const codecs = (): readonly string[] => this.#engine.packing.codecs;
    this.packing = {
      get codecs() {
        return codecs();
      },
      update: (work, batches, residual) =>
        this.#callWith(batches, (engine, those, still) => engine.packing.update(work, those, still(residual))),
    };
  }

  get device(): DeviceInfo {
    return this.#engine.device;
  }

  selfTest(): Promise<SelfTestResult> {
    return this.#call((engine) => engine.selfTest());
  }

  get precision(): Precision {
    return this.#engine.precision;
  }

  async load(model: ModelSpec, microBatch: number, precision: Precision = "f32"): Promise<void> {
    const loaded = { model, microBatch, precision };
    if (!isLight(loaded)) await this.#successor?.decided;
    await this.#call((engine) => engine.load(model, microBatch, precision));
    if (same(this.#loaded, loaded)) return;
    this.#loaded = loaded;
    this.#weights = null;
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
  localSteps(work: LocalSteps, batches: StepBatches): Promise<LocalStepsResult | null> {
    return this.#callWith(batches, (engine, those) => engine.localSteps(work, those));
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
    this.#successor?.engine?.dispose();
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

  /** A lost device takes the steps that it had done with it: all are taken again on the next one. */
  #callWith<T>(batches: StepBatches, run: (engine: Engine, batches: StepBatches, still: Still) => Promise<T>): Promise<T> {
    let attempts = 0;
    return this.#call((engine) => {
      const attempt = ++attempts;
      // What still runs on the lost device gets nothing more.
      const still: Still =
        (ask) =>
        async (...of) =>
          attempt === attempts && this.#word === null ? ask(...of) : null;
      return run(engine, still(batches), still);
    });
  }

  async #call<T>(run: (engine: Engine) => Promise<T>): Promise<T> {
    for (;;)
      try {
        await this.#changeOver();
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

  /** To what was made ready in the place of a lost device, if anything was, with the weights of now. */
  async #changeOver(): Promise<void> {
    // WASM never waits: what is made ready beside it must get a turn.
    if (this.#successor?.engine === null) await this.#options.sleep(0);
    const next = this.#successor?.engine ?? null;
    if (next === null) return;
    this.#successor = null;
    await this.#goOnWith(next);
  }

  async #goOnWith(engine: Engine): Promise<void> {
    this.#engine.dispose();
    this.#engine = engine;
    this.#watch(engine);
    if (this.#weights !== null) await engine.setWeights(this.#weights);
  }

  async #recover(word: string): Promise<void> {
    // Its buffers and its place in TensorFlow.js's registry are free for the next.
    this.#engine.dispose();
    const place = this.#inPlaceOf(this.#engine);
    const successor: Successor = {
      engine: null,
      decided: place.then(
        (engine) => {
          if (this.#disposed) engine.dispose();
          else successor.engine = engine;
        },
        () => {
          if (this.#successor === successor) this.#successor = null;
        },
      ),
    };
    this.#successor = successor;
    const standIn = await this.#standIn();
    if (this.#disposed) {
      standIn?.dispose();
      throw new Error(word);
    }
    // Where nothing ever comes in its place, it stays.
    if (standIn !== null) await this.#goOnWith(standIn);
    else
      await place.catch((error: unknown) => {
        this.#giveUp(word);
        throw error;
      });
  }

  /** With the model that is loaded; null where WASM cannot be had, or has no business with so large a step. */
  async #standIn(): Promise<Engine | null> {
    const loaded = this.#loaded;
    if (loaded === null || !isLight(loaded)) return null;
    let made: Engine | null = null;
    try {
      made = await this.#options.standIn();
      await made.load(loaded.model, loaded.microBatch, loaded.precision);
      return made;
    } catch {
      // Whoever called waits for the device that is being opened.
      made?.dispose();
      return null;
    }
  }

  /** Another engine with what is loaded by then. One that is lost meanwhile is replaced like the first. */
  async #inPlaceOf(lost: Engine): Promise<Engine> {
    for (let before = lost; ; ) {
      this.#losses += 1;
      const engine = await this.#options.reopen(this.#losses, before);
      let word: string | null = null;
      const failed = engine.lost.then((message) => {
        word = message;
        throw new Error(message);
      });
      failed.catch(() => undefined);
      try {
        for (let loaded: Loaded | null = null; this.#loaded !== null && loaded !== this.#loaded; ) {
          loaded = this.#loaded;
          await Promise.race([engine.load(loaded.model, loaded.microBatch, loaded.precision), failed]);
        }
        return engine;
      } catch (error) {
        if (word === null) await this.#options.sleep(WORD_MS);
        engine.dispose();
        if (word === null) throw error;
        before = engine;
      }
    }
  }
}
