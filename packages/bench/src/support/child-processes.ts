// Processes of a bench that compute beside one another: each answers one order after another, as `answerOrders` in it says. Knows no bench.
import { type ChildProcess, fork } from "node:child_process";

export interface Failed {
  readonly kind: "failed";
  readonly message: string;
}

export class AnsweringProcess<Order extends object, Answer extends { readonly kind: string }> {
  readonly #child: ChildProcess;
  readonly #what: string;
  #free: Promise<unknown> = Promise.resolve();

  /** `program`: a TypeScript file. `what` names the process in errors. */
  constructor(program: URL, what: string) {
    this.#what = what;
    this.#child = fork(program, { execArgv: ["--import", "tsx"], serialization: "advanced" });
  }

  /** One order after another; typed arrays are copied. Rejects where it fails, where the answer is of another kind, or where the process ends. */
  ask<K extends Answer["kind"]>(order: Order, kind: K): Promise<Extract<Answer, { kind: K }>> {
    const answer = this.#free.then(() => this.#ask(order, kind));
    this.#free = answer.catch(() => undefined);
    return answer;
  }

  #ask<K extends Answer["kind"]>(order: Order, kind: K): Promise<Extract<Answer, { kind: K }>> {
    return new Promise((resolve, reject) => {
      const end = (then: () => void): void => {
        this.#child.off("message", onAnswer);
        this.#child.off("exit", onExit);
        then();
      };
      const onAnswer = (answer: Answer | Failed): void =>
        end(() => {
          if (answer.kind === kind) resolve(answer as Extract<Answer, { kind: K }>);
          else if (answer.kind === "failed") reject(new Error((answer as Failed).message));
          else reject(new Error(`${this.#what} answered ${answer.kind} where ${kind} was asked for`));
        });
      const onExit = (code: number | null): void => end(() => reject(new Error(`${this.#what} ended with ${code ?? "a signal"}`)));
      if (!this.#child.connected) {
        reject(new Error(`${this.#what} has ended`));
        return;
      }
      this.#child.on("message", onAnswer);
      this.#child.once("exit", onExit);
      this.#child.send(order);
    });
  }

  end(): void {
    if (this.#child.connected) this.#child.disconnect();
  }
}

/** In the process: it lives as long as who ordered it. */
export function answerOrders<Order, Answer extends object>(answer: (order: Order) => Promise<Answer>): void {
  process.on("message", (order: Order) => {
    answer(order).then(
      (said) => process.send?.(said),
      (error: unknown) =>
        process.send?.({ kind: "failed", message: error instanceof Error ? error.message : String(error) } satisfies Failed),
    );
  });
  process.once("disconnect", () => process.exit());
}
