// The page's side of the try-it worker: starts it at the first question, matches answers to questions. Knows no component.
import type { Answer, Answered, Asked, Question } from "./messages.ts";

type Final = Exclude<Answer, { kind: "token" } | { kind: "failed" }>;
type FinalOf<K extends Question["kind"]> = Extract<Final, { kind: { classify: "classes"; write: "written"; "held-out": "image" }[K] }>;

export interface TryWorker {
  postMessage(message: Asked): void;
  onmessage: ((event: MessageEvent<Answered>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
  terminate(): void;
}
const tryWorker = (): TryWorker => new Worker(new URL("./try-worker.ts", import.meta.url), { type: "module", name: "weft try-it" });

export interface Computer {
  /** Rejects with a sentence for people. `onToken` is called for each token of a `write`. */
  ask<Q extends Question>(question: Q, onToken?: (token: number) => void): Promise<FinalOf<Q["kind"]>>;
  dispose(): void;
}

export function createComputer(createWorker: () => TryWorker = tryWorker): Computer {
  const waiting = new Map<
    number,
    { resolve: (answer: Final) => void; reject: (error: Error) => void; onToken: ((token: number) => void) | undefined }
  >();
  let worker: TryWorker | null = null;
  let asked = 0;
  const fail = (message: string): void => {
    for (const { reject } of waiting.values()) reject(new Error(message));
    waiting.clear();
    worker?.terminate();
    worker = null;
  };
  const start = (): TryWorker => {
    const made = createWorker();
    made.onmessage = ({ data: { id, answer } }) => {
      const one = waiting.get(id);
      if (one === undefined) return;
      if (answer.kind === "token") return one.onToken?.(answer.token);
      waiting.delete(id);
      if (answer.kind === "failed") one.reject(new Error(answer.message));
      else one.resolve(answer);
    };
    made.onerror = (event) => fail(`The worker failed: ${event.message || "it could not be loaded"}`);
    worker = made;
    return made;
  };
  return {
    ask: (question, onToken) =>
      new Promise((resolve, reject) => {
        const id = ++asked;
        waiting.set(id, { resolve: resolve as (answer: Final) => void, reject, onToken });
        (worker ?? start()).postMessage({ id, question });
      }),
    dispose: () => fail("The page was left."),
  };
}
