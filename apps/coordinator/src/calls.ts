// Questions and answers over a message port: a method's name, its arguments, one result or one fault. Knows no methods.
import { type Fault, faultOf, ThreadFault } from "./threads.ts";

/** The part of a port that is used: a thread's, a worker, or the channel of a process. */
export interface CallPort {
  on(event: "message", listener: (message: unknown) => void): unknown;
  postMessage(message: unknown): void;
}

interface Question {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}
type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly fault: Fault };

// biome-ignore lint/suspicious/noExplicitAny: each method has parameters of its own; `Remote` gives them back their types.
export type Methods = Readonly<Record<string, (...args: any[]) => Promise<unknown>>>;

/** Answers every question that comes over `port`; questions may overlap. */
export function answerCalls(port: CallPort, methods: Methods): void {
  port.on("message", (message) => {
    const { id, method, args } = message as Question;
    const work = methods[method];
    const result = work === undefined ? Promise.reject(new Error(`there is no method ${method}`)) : work(...args);
    result.then(
      (value) => port.postMessage({ id, value } satisfies Answer),
      (error: unknown) => port.postMessage({ id, fault: faultOf(error) } satisfies Answer),
    );
  });
}

export interface Caller {
  call(method: string, ...args: readonly unknown[]): Promise<unknown>;
  /** Rejects everything that waits for an answer. */
  fail(error: Error): void;
}

export function callsTo(port: CallPort): Caller {
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  let last = 0;
  port.on("message", (message) => {
    const answer = message as Answer;
    const asked = waiting.get(answer.id);
    if (asked === undefined) return;
    waiting.delete(answer.id);
    if ("fault" in answer) asked.reject(new ThreadFault(answer.fault));
    else asked.resolve(answer.value);
  });
  return {
    call(method, ...args) {
      last += 1;
      const id = last;
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        port.postMessage({ id, method, args } satisfies Question);
      });
    },
    fail(error) {
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    },
  };
}
