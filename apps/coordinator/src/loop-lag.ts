// How long the event loop was held up: the promise is 20 ms at most. Two windows of one minute, so that an old peak fades.
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";

const RESOLUTION_MS = 2;
const WINDOW_MS = 60_000;

export interface LoopLag {
  /** Over the last one to two minutes, milliseconds beyond the timer's own resolution. */
  now(): { readonly p99Ms: number; readonly maxMs: number };
  /** Forgets what was measured so far; start-up is not service. */
  reset(): void;
  stop(): void;
}

export function measureLoopLag(): LoopLag {
  const histogram: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  let earlier = { p99Ms: 0, maxMs: 0 };
  const beyond = (nanoseconds: number): number => (Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS) : 0);
  const current = () => ({ p99Ms: beyond(histogram.percentile(99)), maxMs: histogram.count === 0 ? 0 : beyond(histogram.max) });
  const timer = setInterval(() => {
    earlier = current();
    histogram.reset();
  }, WINDOW_MS);
  timer.unref();
  return {
    now() {
      const latest = current();
      return { p99Ms: Math.max(earlier.p99Ms, latest.p99Ms), maxMs: Math.max(earlier.maxMs, latest.maxMs) };
    },
    reset() {
      earlier = { p99Ms: 0, maxMs: 0 };
      histogram.reset();
    },
    stop() {
      clearInterval(timer);
      histogram.disable();
    },
  };
}
