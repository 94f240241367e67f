// Keeps the process small. V8 knows a typed array's bytes only as "external" and collects dropped ones when they come to tens of
// megabytes, in each thread apart. A thread that handles arrays of megabytes therefore collects its young garbage itself.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { MessageChannel } from "node:worker_threads";

type Collect = (options?: { readonly type: "minor" | "major" }) => void;

/** So many bytes of arrays may lie about before they are collected; a collection of the young takes about a millisecond. */
const COLLECT_BYTES = 4 * 1024 ** 2;

/**
 * V8 lets every thread's nursery grow to 32 MB as soon as messages come in bursts, and hardly gives it back. What passes through a
 * coordinator in bulk are byte arrays, which lie outside of it. Each new thread sets V8's flag back to its default, so this is said again
 * after each start of one.
 */
export const keepNurserySmall = (): void => setFlagsFromString("--semi-space-growth-factor=1");

/**
 * A function that gives the memory of bytes back at once, where they have it to themselves; nobody may use them any more. A closed port takes
 * what is handed over and passes it to nobody. Bytes that wait for V8 instead grow old, since many of them are in hand at once, and each few
 * megabytes of old ones make it look through the whole heap.
 */
export function releaser(): (bytes: Uint8Array) => void {
  const { port1, port2 } = new MessageChannel();
  port1.close();
  port2.close();
  return ({ buffer, byteLength }) => {
    if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) port1.postMessage(null, [buffer]);
  };
}

function collectFunction(): Collect {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as Collect;
}

/** Gives back what loading and starting left behind, once; it stops this thread for some ten milliseconds. */
export const collectStartup = (): void => collectFunction()({ type: "major" });

/** A function to be told of arrays that were dropped. */
export function collector(): (droppedBytes: number) => void {
  const collect = collectFunction();
  let dropped = 0;
  return (droppedBytes) => {
    dropped += droppedBytes;
    if (dropped < COLLECT_BYTES) return;
    dropped = 0;
    collect({ type: "minor" });
  };
}

/** Runs at most `most` pieces of work at once, the others in the order in which they came. */
export function limiter(most: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await work();
    } finally {
      // A place that is free goes to the next in line, so `running` stays.
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
