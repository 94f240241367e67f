// Time that never goes back: the wall's time at the start, and from there on what has really passed. A wall clock that is set, in either
// direction, changes nothing of a deadline, a grace or a wait; only the next start takes its time from it again.
import type { CoordinatorClock } from "./ports.ts";

/** Where the clock has no monotonic time, steps back of the wall are left out instead. */
export function steadyClock(clock: CoordinatorClock): CoordinatorClock {
  const read = (): number => clock.monotonicMs?.() ?? clock.now();
  let nowMs = clock.now();
  let lastMs = read();
  return {
    now() {
      const atMs = read();
      nowMs += Math.max(0, atMs - lastMs);
      lastMs = atMs;
      return nowMs;
    },
  };
}
