// Threads that share the work of a fold with the one that leads it. Work comes in jobs of many tasks on shared memory; whoever is free takes the
// next, the leader too, so that nobody waits for a thread that is still starting or busy. Knows no platform's threads.
import { BlockFolder, FOLD_BLOCK, type Fold } from "./block-folder.ts";
import type { Expanding } from "./expander.ts";

/** All that is large in it, and all that is written, lies on shared memory. */
export type FoldJob =
  | { readonly kind: "expand"; readonly groups: readonly (readonly Expanding[])[] }
  | { readonly kind: "fold"; readonly fold: Fold };
/** What a thread is handed; crosses to it as it is. */
export interface FoldMessage {
  readonly job: FoldJob;
  readonly words: Int32Array;
}
/** Starts a thread that hands each message to what `foldThread` gives. `terminate` ends it, whatever it does. */
export type StartFoldThread = () => { post(message: FoldMessage): void; terminate(): void };

export interface FoldThreadOptions {
  /** Threads in all, the one that leads included. */
  readonly count: number;
  readonly start: StartFoldThread;
  /** How long the leader waits for the last tasks of others. Absent: PATIENCE_MS. */
  readonly patienceMs?: number;
  /** Values of all updates together from which on a fold is shared. Absent: LEAST_VALUES. */
  readonly leastValues?: number;
  /** Told once, when threads were lost; from then on one thread folds. */
  readonly onLost?: (why: string) => void;
}

/** A task takes milliseconds; a machine that is busy with much else may let a thread wait. */
const PATIENCE_MS = 10_000;
/** Threads that nobody needed for so long are ended: each holds some megabytes. */
const IDLE_MS = 60_000;
/** Below it a fold takes less than some ten milliseconds. */
const LEAST_VALUES = 4_000_000;
/** Values of a task: enough that taking one does not count, few enough that the last ones end together. */
const TASK_VALUES = 4 * FOLD_BLOCK;

// Words that different threads write lie on lines of their own.
const TAKEN = 0;
const DONE = 16;
const BAD = 32;
const FAILED = 48;
const WORDS = 64;

/** A thread failed or does not come. What was computed is void, and what it may still write to must not be used. */
export class FoldThreadsLostError extends Error {
  override readonly name = "FoldThreadsLostError";
}

const tasksOf = (job: FoldJob): number => (job.kind === "expand" ? job.groups.length : Math.ceil(job.fold.size / TASK_VALUES));

/** Takes tasks until there are none. */
function takePart({ job, words }: FoldMessage, folder: BlockFolder): void {
  const tasks = tasksOf(job);
  for (let task = Atomics.add(words, TAKEN, 1); task < tasks; task = Atomics.add(words, TAKEN, 1)) {
    if (job.kind === "expand") folder.expand(job.groups[task] as readonly Expanding[]);
    else if (Atomics.load(words, BAD) === 0) {
      const from = task * TASK_VALUES;
      if (!folder.fold(job.fold, from, Math.min(job.fold.size, from + TASK_VALUES))) Atomics.store(words, BAD, 1);
    }
    if (Atomics.add(words, DONE, 1) === tasks - 1) Atomics.notify(words, DONE);
  }
}

/** What a thread does with its messages. */
export function foldThread(): (message: FoldMessage) => void {
  const folder = new BlockFolder();
  return (message) => {
    try {
      takePart(message, folder);
    } catch (error) {
      Atomics.store(message.words, FAILED, 1);
      Atomics.notify(message.words, DONE);
      throw error;
    }
  };
}

export class FoldThreads {
  readonly #options: FoldThreadOptions;
  readonly #folder: BlockFolder;
  #members: ReturnType<StartFoldThread>[] = [];
  #idle: ReturnType<typeof setTimeout> | undefined;
  #lost = false;

  /** `folder` is the leader's own. None is started before there is work. */
  constructor(options: FoldThreadOptions, folder: BlockFolder) {
    this.#options = options;
    this.#folder = folder;
  }

  /** Whether so many values are worth sharing, and can be. */
  isFor(values: number): boolean {
    const { count, leastValues = LEAST_VALUES } = this.#options;
    return !this.#lost && count > 1 && values >= leastValues;
  }

  /** False as BlockFolder's `fold` has it. Blocks until all is done; throws a FoldThreadsLostError where threads were lost. */
  together(job: FoldJob): boolean {
    clearTimeout(this.#idle);
    const words = new Int32Array(new SharedArrayBuffer(4 * WORDS));
    const message = { job, words };
    try {
      this.#hand(message);
      takePart(message, this.#folder);
      this.#await(words, tasksOf(job));
    } catch (error) {
      this.#lose(error instanceof Error ? error.message : String(error));
      throw error;
    }
    this.#idle = setTimeout(() => this.#end(), IDLE_MS);
    (this.#idle as { unref?: () => void }).unref?.();
    return Atomics.load(words, BAD) === 0;
  }

  /** A platform may have no thread to give, or no memory for the message. */
  #hand(message: FoldMessage): void {
    try {
      while (this.#members.length < this.#options.count - 1) this.#members.push(this.#options.start());
      for (const member of this.#members) member.post(message);
    } catch (error) {
      throw new FoldThreadsLostError(`Threads that fold cannot be had: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #await(words: Int32Array, tasks: number): void {
    const { patienceMs = PATIENCE_MS } = this.#options;
    const until = performance.now() + patienceMs;
    for (let done = Atomics.load(words, DONE); done < tasks; done = Atomics.load(words, DONE)) {
      const leftMs = until - performance.now();
      if (Atomics.load(words, FAILED) !== 0) throw new FoldThreadsLostError("A thread that folds has failed");
      if (leftMs <= 0) throw new FoldThreadsLostError(`A thread that folds did not end its part within ${patienceMs / 1000} s`);
      Atomics.wait(words, DONE, done, leftMs);
    }
  }

  #end(): void {
    for (const member of this.#members.splice(0)) member.terminate();
  }

  #lose(why: string): void {
    this.#lost = true;
    this.#end();
    this.#options.onLost?.(why);
  }
}
