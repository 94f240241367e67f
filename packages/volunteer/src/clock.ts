// The real clock. In a worker its timers are not throttled as a hidden page's are. Knows nothing of who waits.
import type { Clock } from "./ports.ts";

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};
