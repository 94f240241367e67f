// Where the threads of one shared memory meet: all wait until the last has come. One of them leads: it says beforehand what is to be computed,
// and does not wait for ever. A few words at the beginning of the memory; knows no kernels.

/** Bytes at the beginning of the memory that are the meeting's: nothing else lies there. */
export const MEETING_BYTES = 512;

/** Where the word lies that threads sleep on. */
export const TURN_AT = 64;
// Words that different threads write lie on lines of their own.
const TURN = 0;
const HERE = 16;
const FAULT = 32;
const KERNEL = 33;
const COUNT = 34;
const WORDS = 48;
const ARGS_AT = TURN_AT + 4 * WORDS;
const MOST_ARGS = 24;

/** Looks at the word before a thread goes to sleep: some microseconds, in which most of the others arrive. */
const SPINS = 4_000;
/** The leader's patience, in stretches: a computer that slept meanwhile uses up one of them, not all. */
const STRETCHES = 100;

/** A thread ended, failed or does not come. Whatever was being computed is void. */
export class ThreadsLostError extends Error {
  override readonly name = "ThreadsLostError";
}

export interface Job {
  readonly kernel: number;
  readonly args: readonly number[];
}

export class Meeting {
  readonly #threads: number;
  readonly #patienceMs: number;
  readonly #words: Int32Array;
  readonly #args: Float64Array;

  /** `patienceMs`: how long the leader waits for the others at most. */
  constructor(memory: WebAssembly.Memory, threads: number, patienceMs: number) {
    this.#threads = threads;
    this.#patienceMs = patienceMs;
    this.#words = new Int32Array(memory.buffer, TURN_AT, WORDS);
    this.#args = new Float64Array(memory.buffer, ARGS_AT, MOST_ARGS);
  }

  /** By the leader, before the threads meet. */
  propose({ kernel, args }: Job): void {
    if (args.length > MOST_ARGS) throw new Error(`${args.length} arguments of a kernel, which may have ${MOST_ARGS}`);
    this.#args.set(args);
    this.#words[KERNEL] = kernel;
    this.#words[COUNT] = args.length;
  }

  /** What was proposed before the last meeting. */
  job(): Job {
    return { kernel: this.#words[KERNEL] as number, args: [...this.#args.subarray(0, this.#words[COUNT])] };
  }

  /** By a thread that will not come any more. */
  fail(): void {
    Atomics.store(this.#words, FAULT, 1);
    Atomics.notify(this.#words, TURN);
  }

  /** For all but the leader, who ends the thread if it must. */
  meet(): void {
    const turn = this.#arrive();
    if (turn !== null) while (Atomics.load(this.#words, TURN) === turn) Atomics.wait(this.#words, TURN, turn);
  }

  /** For the leader. Throws a ThreadsLostError where others do not come. */
  lead(): void {
    const turn = this.#arrive();
    if (turn === null) return;
    for (let stretch = 0; Atomics.load(this.#words, TURN) === turn; stretch++) {
      if (Atomics.load(this.#words, FAULT) !== 0) throw new ThreadsLostError("A thread of the kernels failed");
      if (stretch >= STRETCHES) throw new ThreadsLostError(`A thread of the kernels did not come within ${this.#patienceMs / 1000} s`);
      Atomics.wait(this.#words, TURN, turn, this.#patienceMs / STRETCHES);
    }
  }

  /** The turn whose end is to be waited for; null: all are here. */
  #arrive(): number | null {
    const turn = Atomics.load(this.#words, TURN);
    if (Atomics.add(this.#words, HERE, 1) === this.#threads - 1) {
      Atomics.store(this.#words, HERE, 0);
      Atomics.add(this.#words, TURN, 1);
      Atomics.notify(this.#words, TURN);
      return null;
    }
    for (let spin = 0; spin < SPINS; spin++) if (Atomics.load(this.#words, TURN) !== turn) return null;
    return turn;
  }
}
