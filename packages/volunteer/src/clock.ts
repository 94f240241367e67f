// The real clock: wall time with the resolution of the high-resolution timer. In a worker its timers are not throttled as a hidden page's
// are. Knows nothing of who waits.
import type { Clock } from "./ports.ts";

/** Beyond this difference the wall clock is believed: the machine slept, during which the high-resolution timer may stand still. */
const APART_MS = 50;
let offsetMs = Date.now() - performance.now();

export const systemClock: Clock = {
  // A step may last under a millisecond, which Date.now cannot tell from none.
  now() {
    const wallMs = Date.now();
    if (Math.abs(offsetMs + performance.now() - wallMs) > APART_MS) offsetMs = wallMs - performance.now();
    return offsetMs + performance.now();
  },
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};
