// A clock that moves only when told, waking its sleepers in order. For tests.
import type { Clock } from "../src/ports.ts";

/** Lets everything that waits on promises alone run to its end. */
export const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve));
};

export class VirtualClock implements Clock {
  #now = 1_000_000;
  #sleepers: { readonly atMs: number; readonly wake: () => void }[] = [];

  now(): number {
    return this.#now;
  }
  sleep(ms: number): Promise<void> {
    return new Promise((wake) => this.#sleepers.push({ atMs: this.#now + ms, wake }));
  }
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (;;) {
      const next = this.#sleepers.filter(({ atMs }) => atMs <= until).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#sleepers = this.#sleepers.filter((sleeper) => sleeper !== next);
      this.#now = Math.max(this.#now, next.atMs);
      next.wake();
      await settle();
    }
    this.#now = until;
    await settle();
  }
}
