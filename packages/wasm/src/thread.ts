// One of the threads that compute the kernels with the one that leads: its own instance of the module on the memory of all. It is told what to
// compute through that memory and never comes back to its event loop; whoever started it ends it. Loads no TensorFlow.js and knows neither
// browser workers nor worker_threads.
import { kernelsOf } from "./kernel-functions.ts";
import { Meeting } from "./meeting.ts";

/** What a thread is given when it is started; crosses to a worker as it is. */
export interface ThreadStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Which of the threads it is: 1 and up; 0 leads. */
  readonly index: number;
  readonly threads: number;
}

/** What is heard of it. `failed` may come at any time, also from whoever started it: it could not be loaded, or it ended. */
export type ThreadWord = { readonly kind: "ready" } | { readonly kind: "failed"; readonly message: string };

/** Starts a thread that passes `start` to `serveKernels`. `terminate` ends it, whatever it does. */
export type StartThread = (start: ThreadStart, tell: (word: ThreadWord) => void) => { terminate(): void };

/** Computes this thread's part of everything, until it is ended or fails. Rejects never. */
export async function serveKernels({ module, memory, index, threads }: ThreadStart, post: (word: ThreadWord) => void): Promise<void> {
  const meeting = new Meeting(memory, threads, Number.POSITIVE_INFINITY);
  try {
    const instance = await WebAssembly.instantiate(module, { env: { memory, meet: () => meeting.meet() } });
    const kernels = kernelsOf(instance);
    (instance.exports.takePart as (index: number, count: number) => void)(index, threads);
    post({ kind: "ready" });
    for (;;) {
      meeting.meet();
      const { kernel, args } = meeting.job();
      kernels[kernel]?.(...args);
      meeting.meet();
    }
  } catch (error) {
    meeting.fail();
    post({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
  }
}
