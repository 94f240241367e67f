// An engine in a thread of its own: calls go over a port, big arrays are moved, not copied. A synchronous step of seconds must not delay
// heartbeats. Knows neither browser workers nor worker_threads: both look like a port.
import type { ModelSpec, Precision } from "@weft/protocol";
import type { Batch, LeaseResult, LeaseWork, LocalSteps, LocalStepsResult, ResidualNow, StepBatches, StepResult } from "@weft/tensors";
import type { SelfTest, VolunteerEngine } from "./ports.ts";

interface Calls {
  create: (options: unknown) => null;
  selfTest: () => SelfTest;
  load: (model: ModelSpec, microBatch: number, precision?: Precision) => null;
  setWeights: (flat: Float32Array) => null;
  step: (batch: Batch) => StepResult;
  localSteps: (work: LocalSteps) => LocalStepsResult | null;
  leaseUpdate: (work: LeaseWork) => (Omit<LeaseResult, "rest"> & { readonly restFollows: boolean }) | null;
}
type CallName = keyof Calls;

export type EngineCall =
  | { readonly id: number; readonly call: CallName; readonly args: readonly unknown[] }
  /** The answer to `wants`: it belongs to the call in hand and does not wait for its end. */
  | { readonly ask: number; readonly call: "given"; readonly given: Given | null };
/** The batches of a local step, or the residual. */
type Given = readonly Batch[] | Float32Array;
export type EngineAnswer =
  | {
      readonly kind: "done";
      readonly id: number;
      readonly value: unknown;
      readonly device: VolunteerEngine["device"];
      /** Codecs in which that device encodes. */
      readonly packs: readonly string[];
    }
  | { readonly kind: "failed"; readonly id: number; readonly message: string }
  /** Call `id` needs the batches of a local step; `step` null: the residual. */
  | { readonly kind: "wants"; readonly id: number; readonly ask: number; readonly step: number | null }
  /** Of call `id`, which is done: what its update does not say. */
  | { readonly kind: "rest"; readonly id: number; readonly rest: Float32Array | null }
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
  /** Of the steps in hand: calls are made one after another, and each has one step in hand. */
  let receive: (given: Given | null) => void = () => undefined;
  let asks = 0;
  const ask = (id: number, step: number | null): Promise<Given | null> => {
    // Whoever waited still runs on a device that was lost, and gets nothing more.
    receive(null);
    return new Promise((resolve) => {
      receive = resolve;
      asks += 1;
      post({ kind: "wants", id, ask: asks, step }, []);
    });
  };
  const batchesFor =
    (id: number): StepBatches =>
    async (step) =>
      (await ask(id, step)) as readonly Batch[] | null;
  const carryOut = async ({ id, call, args }: Extract<EngineCall, { call: CallName }>): Promise<unknown> => {
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
        await made().load(args[0] as ModelSpec, args[1] as number, args[2] as Precision | undefined);
        return null;
      case "setWeights":
        await made().setWeights(args[0] as Float32Array);
        return null;
      case "step":
        return made().step(args[0] as Batch);
      case "localSteps":
        return made().localSteps(args[0] as LocalSteps, batchesFor(id));
      case "leaseUpdate": {
        const { packing } = made();
        if (packing === undefined) throw new Error("the engine encodes nothing");
        const result = await packing.update(args[0] as LeaseWork, batchesFor(id), async () => (await ask(id, null)) as Float32Array | null);
        if (result === null) return null;
        const { rest, ...now } = result;
        // It is not waited for: the packed bytes go first.
        void rest?.then((values) => post({ kind: "rest", id, rest: values }, values === null ? [] : moved(values)));
        return { ...now, restFollows: rest !== undefined };
      }
      default:
        return call satisfies never;
    }
  };
  return (call) => {
    if (call.call === "given") {
      if (call.ask === asks) receive(call.given);
      return;
    }
    turn = turn.then(async () => {
      try {
        const value = await carryOut(call);
        const { device, packing } = made();
        post({ kind: "done", id: call.id, value, device, packs: packing?.codecs ?? [] }, movable(call.call, value));
      } catch (error) {
        post({ kind: "failed", id: call.id, message: error instanceof Error ? error.message : String(error) }, []);
      }
    });
  };
}

/** The buffers of a call's result that the thread has no more use for. */
function movable(call: CallName, value: unknown): ArrayBuffer[] {
  const array = largeIn(call, value);
  return array === null ? [] : moved(array);
}

function moved(array: ArrayBufferView): ArrayBuffer[] {
  const buffer = wholeBuffer(array);
  return buffer === null ? [] : [buffer];
}

function largeIn(call: CallName, value: unknown): ArrayBufferView | null {
  switch (call) {
    case "step":
      return (value as StepResult).gradientSum;
    case "localSteps":
    case "leaseUpdate": {
      const update = (value as LocalStepsResult | LeaseResult | null)?.update ?? null;
      return update === null || update instanceof Float32Array ? update : update.ok ? update.bytes : null;
    }
    case "create":
    case "selfTest":
    case "load":
    case "setWeights":
      return null;
    default:
      return call satisfies never;
  }
}

const buffersOf = ({ inputs, targets, weights }: Batch): readonly (ArrayBuffer | null)[] => [inputs, targets, weights].map(wholeBuffer);

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
  /** Of the steps in hand: those of another call are long over. */
  let givenOf: { readonly id: number; readonly batches: StepBatches; readonly residual: ResidualNow } | null = null;
  const rests = new Map<number, (rest: Float32Array | null) => void>();
  let device: VolunteerEngine["device"] | null = null;
  let packs: readonly string[] = [];
  let over: string | null = null;
  let calls = 0;
  const end = (message: string): void => {
    over ??= message;
    for (const { reject } of pending.values()) reject(new Error(message));
    pending.clear();
    for (const resolve of rests.values()) resolve(null);
    rests.clear();
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
        case "wants":
          void supply(answer);
          return;
        case "rest":
          rests.get(answer.id)?.(answer.rest);
          rests.delete(answer.id);
          return;
        case "done":
          device = answer.device;
          packs = answer.packs;
          pending.get(answer.id)?.resolve(answer.value);
          pending.delete(answer.id);
          return;
        default:
          answer satisfies never;
      }
    },
    failed: end,
  });
  const supply = async ({ id, ask, step }: Extract<EngineAnswer, { kind: "wants" }>): Promise<void> => {
    if (step === null) {
      // Copied, not moved: it stays the truth here.
      const given = givenOf?.id === id ? await givenOf.residual() : null;
      if (over === null) thread.post({ ask, call: "given", given }, []);
      return;
    }
    const given = givenOf?.id === id ? await givenOf.batches(step) : null;
    if (over !== null) return;
    thread.post(
      { ask, call: "given", given },
      (given ?? []).flatMap(buffersOf).filter((buffer) => buffer !== null),
    );
  };
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
  const callWith = async <C extends "localSteps" | "leaseUpdate">(
    name: C,
    work: Parameters<Calls[C]>[0],
    batches: StepBatches,
    residual: ResidualNow = async () => null,
  ) => {
    let fault: { readonly error: unknown } | null = null;
    const failed = (error: unknown): null => {
      fault = { error };
      return null;
    };
    // The number that the call is about to get.
    const id = calls + 1;
    givenOf = { id, batches: (step) => batches(step).catch(failed), residual: () => residual().catch(failed) };
    const result = await call(name, [work] as unknown as Parameters<Calls[C]>);
    // Why there were no samples is for the caller: the device has nothing to do with it.
    if (fault !== null) throw (fault as { readonly error: unknown }).error;
    return result;
  };
  const leaseUpdate = async (work: LeaseWork, batches: StepBatches, residual: ResidualNow): Promise<LeaseResult | null> => {
    let arrived: (rest: Float32Array | null) => void = () => undefined;
    const rest = new Promise<Float32Array | null>((resolve) => {
      arrived = resolve;
    });
    // Before the call: the answer may be followed at once.
    const id = calls + 1;
    rests.set(id, arrived);
    let follows = false;
    try {
      const result = await callWith("leaseUpdate", work, batches, residual);
      if (result === null) return null;
      const { restFollows, ...now } = result;
      follows = restFollows;
      return restFollows ? { ...now, rest } : now;
    } finally {
      if (!follows) rests.delete(id);
    }
  };
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
    load: async (model, microBatch, precision) => void (await call("load", [model, microBatch, precision])),
    setWeights: async (flat) => void (await call("setWeights", [flat])),
    step: (batch) => call("step", [batch], buffersOf(batch)),
    localSteps: (work, batches) => callWith("localSteps", work, batches),
    packing: {
      get codecs() {
        return packs;
      },
      update: leaseUpdate,
    },
    dispose() {
      end("the engine was disposed of");
      thread.terminate();
    },
  };
}
