// The threads that compute with this one on a shared memory, as whoever leads them sees them. Where they cannot be had there are none, and one
// thread computes: nobody waits for a thread longer than it is given. Knows no kernel.

import { type Job, Meeting, ThreadsLostError } from "./meeting.ts";
import { MAX_PAGES } from "./module.ts";
import type { StartThread } from "./thread.ts";

export interface ThreadOptions {
  /** Threads in all, the one that leads included; more than MOST_THREADS are not used, and below 2 there is nothing to share. */
  readonly count: number;
  readonly start: StartThread;
  /** How long a thread may take to start. Absent: START_MS. */
  readonly startMs?: number;
  /** How long it may take to do its part after this one has done its own. Absent: PATIENCE_MS. */
  readonly patienceMs?: number;
  /** Calls of less work than this are computed by one thread. Absent: LEAST_WORK. */
  readonly leastWork?: number;
}

export const MOST_THREADS = 8;
const START_MS = 10_000;
/** A part takes milliseconds; a machine that is busy with much else may let a thread wait. */
const PATIENCE_MS = 10_000;

/** Whether this place may have shared memory and wait: neither may a page that is not cross-origin isolated, nor a window. */
function canShare(): boolean {
  if (typeof SharedArrayBuffer === "undefined" || globalThis.crossOriginIsolated === false) return false;
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0);
    return true;
  } catch {
    return false;
  }
}

/** Platforms reserve what a shared memory may grow to, and some have not so much to reserve. Null: none at all. */
function sharedMemory(): WebAssembly.Memory | null {
  for (let maximum = MAX_PAGES; maximum >= MAX_PAGES / 16; maximum /= 2)
    try {
      return new WebAssembly.Memory({ initial: 1, maximum, shared: true });
    } catch {}
  return null;
}

export class Team {
  readonly threads: number;
  readonly memory: WebAssembly.Memory;
  /** Resolves with a sentence when a thread ended, failed or did not come; from then on `together` throws. */
  readonly lost: Promise<string>;
  readonly #meeting: Meeting;
  readonly #members: { terminate(): void }[] = [];
  #tellLoss: (message: string) => void = () => undefined;
  #over: string | null = null;

  private constructor(threads: number, memory: WebAssembly.Memory, patienceMs: number) {
    this.threads = threads;
    this.memory = memory;
    this.#meeting = new Meeting(memory, threads, patienceMs);
    this.lost = new Promise((resolve) => {
      this.#tellLoss = resolve;
    });
  }

  /** All its threads are ready. Null where this place cannot share a memory or one of them does not start. */
  static async open(module: WebAssembly.Module, options: ThreadOptions): Promise<Team | null> {
    const { start, startMs = START_MS, patienceMs = PATIENCE_MS } = options;
    const threads = Math.min(MOST_THREADS, Math.floor(options.count));
    if (!(threads > 1 && canShare())) return null;
    const memory = sharedMemory();
    if (memory === null) return null;
    const team = new Team(threads, memory, patienceMs);
    const ready = Array.from(
      { length: threads - 1 },
      (_, index) =>
        new Promise<boolean>((resolve) => {
          const member = start({ module, memory, index: index + 1, threads }, (word) => {
            if (word.kind === "failed") team.#lose(word.message);
            resolve(word.kind === "ready");
          });
          team.#members.push(member);
        }),
    );
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), startMs);
    });
    // A platform may also refuse at once.
    const all = Promise.all(ready).then(
      (each) => each.every(Boolean),
      () => false,
    );
    const started = await Promise.race([all, late]);
    clearTimeout(timer);
    if (started && team.#over === null) return team;
    team.close();
    return null;
  }

  /** Has every thread compute its part of the job; `own` computes this one's. Throws a ThreadsLostError where threads are lost. */
  together(job: Job, own: () => void): void {
    if (this.#over !== null) throw new ThreadsLostError(this.#over);
    try {
      this.#meeting.propose(job);
      this.#meeting.lead();
      own();
      this.#meeting.lead();
    } catch (error) {
      // The others stand somewhere within the job: there is no going on with them.
      this.#lose(error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  /** What a kernel calls where its threads meet within it. */
  meet(): void {
    this.#meeting.lead();
  }

  /** Ends the threads. */
  close(): void {
    this.#over ??= "The threads of the kernels were ended";
    for (const member of this.#members.splice(0)) member.terminate();
  }

  #lose(message: string): void {
    if (this.#over !== null) return;
    this.#over = message;
    this.close();
    this.#tellLoss(message);
  }
}
