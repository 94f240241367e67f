// The beginning of every worker process: take the input, work, say that it is done or why not. Knows no work.
import { type Caller, callsTo } from "../calls.ts";
import type { Hello } from "../child-process.ts";
import { faultOf } from "../threads.ts";

const send = (message: unknown): void => {
  process.send?.(message);
};

/** Ends with the coordinator: whoever asked is gone when the channel closes. */
export async function runProcess<T>(work: (input: T, coordinator: Caller) => Promise<void>): Promise<void> {
  process.once("disconnect", () => process.exit(1));
  const caller = callsTo({ on: (_event, listener) => process.on("message", listener), postMessage: send });
  try {
    await work(JSON.parse(process.argv.at(-1) ?? "null") as T, caller);
    send({ kind: "ready" } satisfies Hello);
  } catch (error) {
    send({ kind: "failed", fault: faultOf(error) } satisfies Hello);
  }
}
