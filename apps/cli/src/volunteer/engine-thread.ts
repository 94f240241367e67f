// Starts the engine's thread, from source and from the built bundle alike. Knows nothing of what it computes.
import { Worker } from "node:worker_threads";
import { type EngineAnswer, engineInThread, type VolunteerEngine } from "@weft/volunteer";

export type Backend = "auto" | "webgpu" | "wasm" | "cpu";
export interface EngineWishes {
  readonly preference: Backend;
  /** That compute together where the engine is WASM, if they can be had. */
  readonly threads: number;
}

/** Beside this module: `workers/engine-thread.ts` from source, `workers/engine-thread.js` in the bundle. */
const source = import.meta.url.endsWith(".ts");
const ENTRY = new URL(`./workers/engine-thread${source ? ".ts" : ".js"}`, import.meta.url);
const LOADER = new URL("./workers/from-source.mjs", import.meta.url);

export const nodeEngine = (wishes: EngineWishes): Promise<VolunteerEngine> =>
  engineInThread(({ answered, failed }) => {
    const worker = new Worker(source ? LOADER : ENTRY, { name: "weft-engine", workerData: { entry: ENTRY.href }, execArgv: [] });
    worker.on("message", (answer: EngineAnswer) => answered(answer));
    worker.on("error", (error) => failed(error.message));
    worker.on("exit", (code) => failed(`the engine's thread ended with code ${code}`));
    return { post: (call, transfer) => worker.postMessage(call, [...transfer]), terminate: () => void worker.terminate() };
  }, wishes);
