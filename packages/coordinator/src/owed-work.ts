// Work that a run owes (closing a round, evaluating, writing a checkpoint): started once for each name, tried again with growing
// pauses until it is done. Knows nothing of what the work is.

import { RETRY_FIRST_MS, RETRY_LONGEST_MS } from "./limits.ts";
import type { CoordinatorClock } from "./ports.ts";

type Job = { readonly work: () => Promise<void>; attempts: number; failure: string | null } & {
  phase: "running" | "waiting";
  retryAtMs: number;
};

export class OwedWork {
  readonly #jobs = new Map<string, Job>();
  readonly #running = new Set<Promise<void>>();
  readonly #clock: CoordinatorClock;
  readonly #failed: (name: string, error: unknown, retryInMs: number) => void;

  constructor(clock: CoordinatorClock, failed: (name: string, error: unknown, retryInMs: number) => void) {
    this.#clock = clock;
    this.#failed = failed;
  }

  /** Does nothing where work of this name is under way or waits for its next try. `work` rejects when it must be tried again. */
  start(name: string, work: () => Promise<void>): void {
    if (this.#jobs.has(name)) return;
    const job: Job = { work, attempts: 0, failure: null, phase: "running", retryAtMs: 0 };
    this.#jobs.set(name, job);
    this.#run(name, job);
  }

  /** Tries again what is due. */
  tick(): void {
    const nowMs = this.#clock.now();
    for (const [name, job] of this.#jobs) if (job.phase === "waiting" && job.retryAtMs <= nowMs) this.#run(name, job);
  }

  /** Forgets everything that is owed; what is running ends, but its failure is not tried again. */
  clear(): void {
    this.#jobs.clear();
  }

  /** As `clear`, of the names for which `which` holds. */
  forget(which: (name: string) => boolean): void {
    for (const name of this.#jobs.keys()) if (which(name)) this.#jobs.delete(name);
  }

  names(): readonly string[] {
    return [...this.#jobs.keys()];
  }

  /** What work is owed that has failed so far, and why it failed last. */
  failures(): readonly { readonly name: string; readonly failure: string }[] {
    return [...this.#jobs].flatMap(([name, { failure }]) => (failure === null ? [] : [{ name, failure }]));
  }

  /** True while something runs, as opposed to waiting for its next try. */
  get busy(): boolean {
    return this.#running.size > 0;
  }

  /** Resolves when what runs now has ended. */
  async idle(): Promise<void> {
    await Promise.all(this.#running);
  }

  #run(name: string, job: Job): void {
    job.phase = "running";
    const run = job.work().then(
      () => {
        if (this.#jobs.get(name) === job) this.#jobs.delete(name);
      },
      (error: unknown) => {
        job.attempts += 1;
        job.failure = error instanceof Error ? error.message : String(error);
        const waitMs = Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** Math.min(job.attempts - 1, 16));
        job.phase = "waiting";
        job.retryAtMs = this.#clock.now() + waitMs;
        if (this.#jobs.get(name) === job) this.#failed(name, error, waitMs);
      },
    );
    this.#running.add(run);
    void run.then(() => this.#running.delete(run));
  }
}
