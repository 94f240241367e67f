// One lease whose steps the engine takes by itself, between the two that drive it: the state machine, which lets one step after another begin,
// and the engine, which asks for a step's samples when it is done with the one before. Knows no message, no codec and no model.
import type { Batch, LeaseResult, StepBatches } from "@weft/tensors";
import type { Clock } from "./ports.ts";

export interface LocalLeaseOptions {
  readonly steps: number;
  /** Micro-batches of a step, made anew each time: they may be moved to another thread. */
  readonly samples: (step: number) => Promise<readonly Batch[]>;
  readonly clock: Clock;
}

interface Waiting {
  readonly step: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class LocalLease {
  readonly #options: LocalLeaseOptions;
  /** Steps below it may begin. */
  #allowed = 0;
  #wake: () => void = () => undefined;
  #waiting: Waiting | null = null;
  /** Samples of the step after the one in hand, fetched meanwhile. */
  #ahead: { readonly step: number; readonly batches: Promise<readonly Batch[]> } | null = null;
  #beganMs: number | null = null;
  #busyMs = 0;
  #givenUp = false;
  #giveUp: () => void = () => undefined;
  readonly #over: Promise<null>;
  #result: LeaseResult | null = null;
  #following = false;
  #failure: { readonly error: unknown } | null = null;

  constructor(options: LocalLeaseOptions) {
    this.#options = options;
    this.#over = new Promise((resolve) => {
      this.#giveUp = () => resolve(null);
    });
  }

  /** What the steps came to; null before the last is done. */
  get result(): LeaseResult | null {
    return this.#result;
  }

  /** Fetches the samples of the first step before anybody asks. Rejects where they cannot be had. */
  async prefetch(): Promise<void> {
    await this.#fetchAhead(0);
  }

  /**
   * Lets step `step` begin and resolves with the milliseconds that the device was busy when it is done with it; null where the lease was
   * given up. `run` begins all steps, and is called once. Rejects as `run` does.
   */
  async take(step: number, run: (batches: StepBatches) => Promise<LeaseResult | null>): Promise<number | null> {
    if (this.#givenUp) return null;
    this.#allowed = Math.max(this.#allowed, step + 1);
    this.#wake();
    const done = new Promise<void>((resolve, reject) => {
      this.#waiting = { step, resolve, reject };
    });
    if (this.#failure !== null) this.#waiting?.reject(this.#failure.error);
    if (!this.#following) this.#follow(run(this.#batches));
    await done;
    if (this.#givenUp) return null;
    const busyMs = this.#busyMs;
    this.#busyMs = 0;
    return busyMs;
  }

  /** What the engine waits for beside samples: meanwhile it is not busy. Null where the lease was given up. */
  async during<T>(wait: () => Promise<T>): Promise<T | null> {
    this.#rest();
    const given = this.#givenUp ? null : await Promise.race([wait(), this.#over]);
    if (given === null || this.#givenUp) return null;
    this.#beganMs = this.#options.clock.now();
    return given;
  }

  /** The engine gets no more samples and ends after the step in hand. */
  giveUp(): void {
    this.#givenUp = true;
    this.#ahead = null;
    this.#giveUp();
    this.#wake();
    this.#waiting?.resolve();
    this.#waiting = null;
  }

  readonly #batches: StepBatches = async (step) => {
    this.#rest();
    // After a lost device all begins again at step 0: what was let begin before may begin again.
    if (this.#waiting !== null && this.#waiting.step < step) {
      this.#waiting.resolve();
      this.#waiting = null;
    }
    while (!this.#givenUp && step >= this.#allowed)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    const batches = this.#givenUp ? null : await Promise.race([this.#samplesOf(step), this.#over]);
    if (batches === null || this.#givenUp) return null;
    if (step + 1 < this.#options.steps) void this.#fetchAhead(step + 1).catch(() => undefined);
    this.#beganMs = this.#options.clock.now();
    return batches;
  };

  #follow(result: Promise<LeaseResult | null>): void {
    this.#following = true;
    result.then(
      (value) => {
        this.#rest();
        this.#result = value;
        this.#waiting?.resolve();
        this.#waiting = null;
      },
      (error: unknown) => {
        this.#failure = { error };
        this.#waiting?.reject(error);
        this.#waiting = null;
      },
    );
  }

  #rest(): void {
    if (this.#beganMs !== null) this.#busyMs += Math.max(0, this.#options.clock.now() - this.#beganMs);
    this.#beganMs = null;
  }

  #fetchAhead(step: number): Promise<unknown> {
    const batches = this.#options.samples(step);
    this.#ahead = { step, batches };
    return batches;
  }

  #samplesOf(step: number): Promise<readonly Batch[]> {
    const ahead = this.#ahead;
    this.#ahead = null;
    return ahead?.step === step ? ahead.batches : this.#options.samples(step);
  }
}
