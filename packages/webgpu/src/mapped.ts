// Waits for a buffer to be mapped, and keeps the browser looking whether it is. A browser asks its GPU only now and then whether work is done
// (Chromium each one or two milliseconds, Firefox each hundred), and whenever something is submitted: so nothing is, again and again.

/** As long as a short step takes: asked at every turn of the event loop, which costs a processor. */
const BRISK_MS = 2;
/** At most this often, in milliseconds. */
const BRISK_PERIOD_MS = 0.2;
/** Then by a timer, which browsers stretch to 4 ms where one follows another. */
const PERIOD_MS = 1;

/** Maps the first bytes of `staging` for reading, after what was submitted. Rejects as mapAsync does, when the device is lost among others. */
export async function mapped(queue: GPUQueue, staging: GPUBuffer, sizeBytes: number): Promise<void> {
  let isPending = true;
  const done = staging.mapAsync(GPUMapMode.READ, 0, sizeBytes).finally(() => {
    isPending = false;
  });
  // Whoever waits for it below sees how it ends.
  done.catch(() => {});
  const { port1, port2 } = new MessageChannel();
  const turn = (): Promise<void> =>
    new Promise((resolve) => {
      port1.onmessage = () => resolve();
      port2.postMessage(null);
    });
  try {
    const beganMs = performance.now();
    let askedMs = beganMs;
    while (isPending) {
      const isBrisk = performance.now() - beganMs < BRISK_MS;
      await (isBrisk ? turn() : new Promise((resolve) => setTimeout(resolve, PERIOD_MS)));
      if (!isPending || performance.now() - askedMs < BRISK_PERIOD_MS) continue;
      queue.submit([]);
      askedMs = performance.now();
    }
  } finally {
    port1.close();
  }
  await done;
}
