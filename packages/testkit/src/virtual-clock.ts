// Time that moves only when a test says so. Serves as the coordinator's clock and as the volunteer's.
// Between two moments it lets everything that is ready run, so that an hour of a run takes milliseconds and always goes the same way.
import type { Clock } from "@weft/volunteer";

interface Sleeper {
  readonly atMs: number;
  readonly order: number;
  readonly wake: () => void;
}

/** Turns of the event loop given to what is ready: chains of promises end within one, a few allow for chains through timers of zero. */
const TURNS = 5;

export class VirtualClock implements Clock {
  #nowMs: number;
  /** What the wall shows beside the time that has passed. */
  #wallMs = 0;
  #order = 0;
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
      this.#order += 1;
      this.#sleepers.push({ atMs: this.#nowMs + Math.max(0, ms), order: this.#order, wake });
    });
  }

  /** Calls `then` at its time; nobody waits for it. */
  after(ms: number, then: () => void): void {
    void this.sleep(ms).then(then);
  }

  /** Moves time forward, waking sleepers in the order of their times and, at one time, of their falling asleep. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await this.drain();
    for (;;) {
      const next = this.#nextDue(untilMs);
      if (next === null) break;
      this.#sleepers.splice(this.#sleepers.indexOf(next), 1);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.wake();
      await this.drain();
    }
    this.#nowMs = untilMs;
  }

  /** Lets everything run that waits for no time. */
  async drain(): Promise<void> {
    for (let turn = 0; turn < TURNS; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
    await this.settle();
  }

  #nextDue(untilMs: number): Sleeper | null {
    let next: Sleeper | null = null;
    for (const sleeper of this.#sleepers) {
      if (sleeper.atMs > untilMs) continue;
      if (next === null || sleeper.atMs < next.atMs || (sleeper.atMs === next.atMs && sleeper.order < next.order)) next = sleeper;
    }
    return next;
  }
}
