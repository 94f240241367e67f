// Waits for a buffer to be mapped, and keeps the browser looking whether it is. A browser asks its GPU only now and then whether work is done
// (Chromium each one or two milliseconds, Firefox each hundred), and whenever something is submitted: so nothing is, again and again.

/** Between two looks the processor is left alone: where the GPU's process shares it, asking at every turn of the event loop holds up what it asks
 *  for. Once a millisecond is too seldom: a look that comes before the work is done puts Chromium's own off by two (bench `step`, part read-back). */
const PERIOD_MS = 0.4;
/** A long step is asked after ever more seldom. */
const PERIODS_OF_WAIT = 32;

/** Maps the first bytes of `staging` for reading, after what was submitted. Rejects as mapAsync does, when the device is lost among others. */
export async function mapped(queue: GPUQueue, staging: GPUBuffer, sizeBytes: number): Promise<void> {
  let isPending = true;
  const done = staging.mapAsync(GPUMapMode.READ, 0, sizeBytes).finally(() => {
    isPending = false;
  });
  const beganMs = performance.now();
  for (;;) {
    await Promise.race([done, pause(Math.max(PERIOD_MS, (performance.now() - beganMs) / PERIODS_OF_WAIT))]);
    if (!isPending) return;
    queue.submit([]);
  }
}

/** Waits a time that may be a part of a millisecond, which timers do not know; a whole one where the browser has no such wait. */
async function pause(ms: number): Promise<void> {
  if (cell === null) await new Promise((resolve) => setTimeout(resolve, Math.ceil(ms)));
  else await Atomics.waitAsync(cell, 0, 0, ms).value;
}

/** Nobody wakes who waits on it. Shared memory of this kind is to be had on pages that are not isolated, too. */
const cell = ((): Int32Array | null => {
  try {
    return typeof Atomics.waitAsync === "function"
      ? new Int32Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer)
      : null;
  } catch {
    return null;
  }
})();
