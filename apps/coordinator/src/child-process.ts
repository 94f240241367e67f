// Work in a process of its own, for what takes much memory once: all of it is given back when the process ends, which no thread does.
// Knows nothing of what the work is.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { answerCalls, type Methods } from "./calls.ts";
import { type Fault, ThreadFault } from "./threads.ts";

export type Hello = { readonly kind: "ready" } | { readonly kind: "failed"; readonly fault: Fault };

const isHello = (message: unknown): message is Hello => typeof message === "object" && message !== null && "kind" in message;

/**
 * Runs `workers/NAME` until it says that it is done. `input` goes to it as JSON; it may call `methods`. Rejects with the fault that it met.
 */
export function runInProcess(name: string, input: unknown, methods: Methods): Promise<void> {
  const fromSource = import.meta.url.endsWith(".ts");
  const entry = new URL(`./workers/${name}${fromSource ? ".ts" : ".js"}`, import.meta.url);
  const file = fileURLToPath(fromSource ? new URL("./workers/from-source.mjs", import.meta.url) : entry);
  const child = fork(file, [...(fromSource ? [entry.href] : []), JSON.stringify(input)], {
    // Bytes travel as bytes.
    serialization: "advanced",
    execArgv: [],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  answerCalls(
    {
      on: (_event, listener) =>
        child.on("message", (message: unknown) => {
          if (!isHello(message)) listener(message);
        }),
      postMessage: (message) => {
        // A child that ended meanwhile hears nothing more.
        if (child.connected) child.send(message as object, () => undefined);
      },
    },
    methods,
  );
  return new Promise<void>((resolve, reject) => {
    child.on("message", (message: unknown) => {
      if (!isHello(message)) return;
      if (message.kind === "ready") resolve();
      else reject(new ThreadFault(message.fault));
    });
    child.once("error", reject);
    child.once("exit", (code, signal) => reject(new Error(`the ${name} process ended with ${code ?? signal} before it was done`)));
  }).finally(() => child.kill());
}
