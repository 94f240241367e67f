// The volunteer's clock: wall time with the resolution of the high-resolution timer. In a worker its timers are not throttled as a hidden
// page's are. Knows nothing of who waits.
import type { Clock } from "./ports.ts";

export interface TimeSources {
  /** Of the wall, in ms since 1970; a person or a time server may set it. */
  wallMs(): number;
  /** High resolution, never set; it may stand still while the machine sleeps. */
  elapsedMs(): number;
  sleep(ms: number): Promise<void>;
}

/** Beyond this difference the wall clock is believed: the machine slept, during which the high-resolution timer may stand still. */
const APART_MS = 50;

/**
 * Never goes back: every wait of the volunteer is until a time, and one until an hour from now must not come of a wall clock that was set
 * back. Set forward it cannot be told from a sleep, and is believed: waits end early, which costs a question more.
 */
export function volunteerClock({ wallMs, elapsedMs, sleep }: TimeSources): Clock {
  let aheadMs = wallMs() - elapsedMs();
  let apartMs = 0;
  return {
    // A step may last under a millisecond, which the wall clock cannot tell from none.
    now() {
      const wallAheadMs = wallMs() - elapsedMs();
      // How far the wall stands from this clock since it was last set back: only what it gains from there is time that passed.
      if (wallAheadMs + apartMs < aheadMs - APART_MS) apartMs = aheadMs - wallAheadMs;
      if (wallAheadMs + apartMs > aheadMs + APART_MS) aheadMs = wallAheadMs + apartMs;
      return aheadMs + elapsedMs();
    },
    sleep,
  };
}

export const systemClock: Clock = volunteerClock({
  wallMs: Date.now,
  elapsedMs: () => performance.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
});
