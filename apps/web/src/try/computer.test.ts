import { describe, expect, it } from "vitest";
import { createComputer, type TryWorker } from "./computer.ts";
import type { Answer, Asked } from "./messages.ts";

const SUBJECT = { model: { kind: "mlp" as const, inputs: 1, hidden: [1], classes: 2 }, weights: { sha256: "0".repeat(64), sizeBytes: 4 } };
const classify = () => ({ kind: "classify" as const, subject: SUBJECT, values: new Float32Array(1) });

function fakeWorker() {
  const asked: Asked[] = [];
  const worker: TryWorker & { ended: boolean } = {
    onmessage: null,
    onerror: null,
    ended: false,
    postMessage: (message) => asked.push(message),
    terminate() {
      worker.ended = true;
    },
  };
  return { worker, asked, say: (id: number, answer: Answer) => worker.onmessage?.({ data: { id, answer } } as MessageEvent) };
}

describe("asking the model", () => {
  it("matches answers to questions, whichever comes first", async () => {
    const { worker, asked, say } = fakeWorker();
    const computer = createComputer(() => worker);
    const first = computer.ask(classify());
    const second = computer.ask(classify());
    const classes = (value: number): Answer => ({ kind: "classes", probabilities: Float32Array.of(value), tookMs: 1, backend: "cpu" });
    say(asked[1]?.id ?? 0, classes(2));
    say(asked[0]?.id ?? 0, classes(1));
    expect((await first).probabilities[0]).toBe(1);
    expect((await second).probabilities[0]).toBe(2);
  });
  it("hands tokens on as they are made", async () => {
    const { worker, say } = fakeWorker();
    const tokens: number[] = [];
    const written = createComputer(() => worker).ask(
      { kind: "write", subject: SUBJECT, tokens: Int32Array.of(1), count: 2, temperature: 1 },
      (token) => tokens.push(token),
    );
    say(1, { kind: "token", token: 5 });
    say(1, { kind: "token", token: 6 });
    say(1, { kind: "written", tokensPerSecond: 9, backend: "cpu" });
    expect((await written).tokensPerSecond).toBe(9);
    expect(tokens).toEqual([5, 6]);
  });
  it("rejects with the worker's sentence, and starts a new worker after a crash", async () => {
    const made = [fakeWorker(), fakeWorker()];
    let next = 0;
    const computer = createComputer(() => (made[next++] ?? fakeWorker()).worker);
    const refused = computer.ask(classify());
    made[0]?.say(1, { kind: "failed", message: "Too big for this device." });
    await expect(refused).rejects.toThrow("Too big for this device.");
    const crashed = computer.ask(classify());
    made[0]?.worker.onerror?.({ message: "out of memory" } as ErrorEvent);
    await expect(crashed).rejects.toThrow("out of memory");
    expect(made[0]?.worker.ended).toBe(true);
    const third = computer.ask(classify());
    made[1]?.say(3, { kind: "classes", probabilities: new Float32Array(2), tookMs: 1, backend: "cpu" });
    expect((await third).kind).toBe("classes");
  });
});
