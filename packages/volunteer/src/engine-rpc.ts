// An engine in a thread of its own: calls go over a port, big arrays are moved, not copied. A synchronous step of seconds must not delay
// heartbeats. Knows neither browser workers nor worker_threads: both look like a port.
import type { ModelSpec } from "@weft/protocol";
import type { Batch, StepResult } from "@weft/tensors";
import type { SelfTest, VolunteerEngine } from "./ports.ts";

interface Calls {
  create: (options: unknown) => null;
  selfTest: () => SelfTest;
  load: (model: ModelSpec, microBatch: number) => null;
  setWeights: (flat: Float32Array) => null;
  step: (batch: Batch) => StepResult;
}
type CallName = keyof Calls;

export interface EngineCall {
  readonly id: number;
  readonly call: CallName;
  readonly args: readonly unknown[];
}
export type EngineAnswer =
  | { readonly kind: "done"; readonly id: number; readonly value: unknown; readonly device: VolunteerEngine["device"] }
  | { readonly kind: "failed"; readonly id: number; readonly message: string }
  | { readonly kind: "lost"; readonly message: string };

/** The thread's side. `create` gets what the other side passed as options; called once, before anything else. */
export function serveEngine(
  post: (answer: EngineAnswer, transfer: readonly ArrayBuffer[]) => void,
  create: (options: never) => Promise<VolunteerEngine & { readonly lost?: Promise<string> }>,
): (call: EngineCall) => void {
  let engine: VolunteerEngine | null = null;
  let turn: Promise<void> = Promise.resolve();
  const made = (): VolunteerEngine => {
    if (engine === null) throw new Error("the engine was not created");
    return engine;
  };
  const carryOut = async ({ call, args }: EngineCall): Promise<unknown> => {
    switch (call) {
      case "create": {
        const created = await create(args[0] as never);
        engine = created;
        void created.lost?.then((message) => post({ kind: "lost", message }, []));
        return null;
      }
      case "selfTest":
        return made().selfTest();
      case "load":
        await made().load(args[0] as ModelSpec, args[1] as number);
        return null;
      case "setWeights":
        await made().setWeights(args[0] as Float32Array);
        return null;
      case "step":
        return made().step(args[0] as Batch);
      default:
        return call satisfies never;
    }
  };
  return (call) => {
    turn = turn.then(async () => {
      try {
        const value = await carryOut(call);
        const moved = call.call === "step" ? [wholeBuffer((value as StepResult).gradientSum)] : [];
        post(
          { kind: "done", id: call.id, value, device: made().device },
          moved.filter((buffer) => buffer !== null),
        );
      } catch (error) {
        post({ kind: "failed", id: call.id, message: error instanceof Error ? error.message : String(error) }, []);
      }
    });
  };
}

/** Null where the array is a window on something larger, which is not ours to move. */
const wholeBuffer = (array: ArrayBufferView): ArrayBuffer | null =>
  array.byteLength === array.buffer.byteLength && array.buffer instanceof ArrayBuffer ? array.buffer : null;

export interface EngineThread {
  post(call: EngineCall, transfer: readonly ArrayBuffer[]): void;
  /** Ends the thread at once, whatever it computes. */
  terminate(): void;
}
/** What the thread's events are handed to. */
export interface EngineThreadEvents {
  answered(answer: EngineAnswer): void;
  failed(message: string): void;
}

/** Starts a thread, creates the engine in it and gives its near end. Rejects where it cannot be created; `dispose` ends the thread. */
export async function engineInThread(start: (events: EngineThreadEvents) => EngineThread, options: unknown): Promise<VolunteerEngine> {
  const pending = new Map<number, { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }>();
  let device: VolunteerEngine["device"] | null = null;
  let over: string | null = null;
  let calls = 0;
  const end = (message: string): void => {
    over ??= message;
    for (const { reject } of pending.values()) reject(new Error(message));
    pending.clear();
  };
  const thread = start({
    answered(answer) {
      switch (answer.kind) {
        case "lost":
          end(answer.message);
          return;
        case "failed":
          pending.get(answer.id)?.reject(new Error(answer.message));
          pending.delete(answer.id);
          return;
        case "done":
          device = answer.device;
          pending.get(answer.id)?.resolve(answer.value);
          pending.delete(answer.id);
          return;
        default:
          answer satisfies never;
      }
    },
    failed: end,
  });
  const call = <C extends CallName>(name: C, args: Parameters<Calls[C]>, transfer: readonly (ArrayBuffer | null)[] = []) =>
    new Promise<ReturnType<Calls[C]>>((resolve, reject) => {
      if (over !== null) {
        reject(new Error(over));
        return;
      }
      calls += 1;
      pending.set(calls, { resolve: (value) => resolve(value as ReturnType<Calls[C]>), reject });
      thread.post(
        { id: calls, call: name, args },
        transfer.filter((buffer) => buffer !== null),
      );
    });
  try {
    await call("create", [options]);
  } catch (error) {
    thread.terminate();
    throw error;
  }
  return {
    get device() {
      if (device === null) throw new Error("the engine has not answered yet");
      return device;
    },
    selfTest: () => call("selfTest", []),
    load: async (model, microBatch) => void (await call("load", [model, microBatch])),
    setWeights: async (flat) => void (await call("setWeights", [flat])),
    step: (batch) => call("step", [batch], [wholeBuffer(batch.inputs), wholeBuffer(batch.targets), wholeBuffer(batch.weights)]),
    dispose() {
      end("the engine was disposed of");
      thread.terminate();
    },
  };
}
