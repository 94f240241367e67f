// Our engine on WASM in bench `step`, in the application's own workers: with one thread and with as many as there are processors. A bundle by
// itself, which computes nothing.
import { engineInThread } from "@weft/volunteer";
import { registry, type StepCase, type Trainer } from "./contender.ts";
import { trainerOn } from "./on-engine.ts";

const onThreads =
  (threads: number) =>
  async (given: StepCase): Promise<Trainer> => {
    const engine = await engineInThread(
      ({ answered, failed }) => {
        const worker = new Worker("/worker/engine-worker.ts", { type: "module" });
        worker.onmessage = ({ data }) => answered(data);
        worker.onerror = ({ message }) => failed(`the engine's worker failed: ${message}`);
        return { post: (call, transfer) => worker.postMessage(call, [...transfer]), terminate: () => worker.terminate() };
      },
      { preference: "wasm", allowSoftwareGpu: false, threads },
    );
    if (threads > 1 && !engine.device.description.includes("threads"))
      throw new Error(`There are no ${threads} threads: ${engine.device.description}`);
    return trainerOn(engine, given, () => null);
  };

registry.steps.push(
  { name: "weft wasm, 1 thread", trainer: onThreads(1) },
  { name: "weft wasm, all threads", trainer: onThreads(navigator.hardwareConcurrency) },
);
