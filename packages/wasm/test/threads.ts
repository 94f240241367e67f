// Threads for tests in Node: those that `weft donate` starts, with patience for a busy machine, and counted.
import { startKernelThread } from "../../../apps/cli/src/volunteer/workers/kernel-threads.ts";
import type { ThreadOptions } from "../src/index.ts";

/** All kernels that can be divided are, however small. */
export const threadsOf = (count: number): ThreadOptions => ({ count, start: startKernelThread, startMs: 60_000, leastWork: 1 });
