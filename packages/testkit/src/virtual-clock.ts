// Time that moves only when a test says so. Serves as the coordinator's clock and as the volunteer's.
// Between two moments it lets everything that is ready run, so that an hour of a run takes milliseconds and always goes the same way.
import type { Clock } from "@weft/volunteer";

interface Sleeper {
  readonly atMs: number;
  readonly order: number;
  /** Null: nobody waits any more. */
  wake: (() => void) | null;
}

/** Turns of the event loop given to what is ready: chains of promises end within one, a few allow for chains through timers of zero. */
const TURNS = 5;

export class VirtualClock implements Clock {
  #nowMs: number;
  /** What the wall shows beside the time that has passed. */
  #wallMs = 0;
  #order = 0;
  /** A binary heap: who wakes first stands first. */
  readonly #sleepers: Sleeper[] = [];
  /** Waits for what a test knows to be under way outside of promises alone, for example a coordinator's `idle`. */
  settle: () => Promise<void> = () => Promise.resolve();

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs + this.#wallMs;
  }
  monotonicMs(): number {
    return this.#nowMs;
  }

  /** Sets the wall clock, as a person or a time server does: no time passes, no sleeper wakes. */
  stepWall(ms: number): void {
    this.#wallMs += ms;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((wake) => {
      this.after(ms, wake);
    });
  }

  /** Calls `then` at its time; nobody waits for it. What is given back cancels it. */
  after(ms: number, then: () => void): () => void {
    this.#order += 1;
    const sleeper: Sleeper = { atMs: this.#nowMs + Math.max(0, ms), order: this.#order, wake: then };
    push(this.#sleepers, sleeper);
    return () => {
      sleeper.wake = null;
    };
  }

  /** Moves time forward, waking sleepers in the order of their times and, at one time, of their falling asleep. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await this.drain();
    while (this.wakeNext(untilMs)) await this.drain();
    this.#nowMs = untilMs;
  }

  /** Wakes the one whose time comes first, and moves time there; false where there is none before `untilMs`. Lets nothing else run. */
  wakeNext(untilMs = Number.POSITIVE_INFINITY): boolean {
    for (let next = this.#sleepers[0]; next !== undefined && next.atMs <= untilMs; next = this.#sleepers[0]) {
      pop(this.#sleepers);
      if (next.wake === null) continue;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.wake();
      return true;
    }
    return false;
  }

  /** Lets everything run that waits for no time. */
  async drain(): Promise<void> {
    for (let turn = 0; turn < TURNS; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
    await this.settle();
  }
}

const isBefore = (a: Sleeper, b: Sleeper): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

function push(heap: Sleeper[], sleeper: Sleeper): void {
  let at = heap.length;
  heap.push(sleeper);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent] as Sleeper;
    if (isBefore(above, sleeper)) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = sleeper;
}

function pop(heap: Sleeper[]): void {
  const last = heap.pop() as Sleeper;
  if (heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1] as Sleeper, heap[child] as Sleeper)) child += 1;
    if (isBefore(last, heap[child] as Sleeper)) break;
    heap[at] = heap[child] as Sleeper;
    at = child;
  }
  heap[at] = last;
}
