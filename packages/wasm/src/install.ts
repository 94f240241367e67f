// Makes the backend one of TensorFlow.js's: the kernels under its names for what it has and under ours for the fused ones. There is one of one
// thread and one of several, side by side: who wants threads shares no memory with who must not lose any.
import * as tf from "@tensorflow/tfjs-core";
import { WasmBackend } from "./backend.ts";
import { openInstance } from "./instance.ts";
import { LANGUAGE } from "./kernels/language.ts";
import type { Inputs } from "./kernels/launchers.ts";
import { PRODUCTS } from "./kernels/matmul.ts";
import { PLAIN } from "./kernels/plain.ts";
import { VISION } from "./kernels/vision.ts";
import type { ThreadOptions } from "./team.ts";

const LAUNCHERS = { ...PLAIN, ...PRODUCTS, ...LANGUAGE, ...VISION };
const ALONE = "weft-wasm";
const TOGETHER = "weft-wasm-threads";

interface Registered {
  readonly opened: Promise<WasmBackend>;
  users: number;
}
/** By name. */
const registered = new Map<string, Registered>();
/** Threads were lost here once: whatever ailed them, one thread computes on. */
let spoiled = false;
const named = new Set<string>();

function nameKernels(backendName: string): void {
  if (named.has(backendName)) return;
  named.add(backendName);
  for (const [kernelName, launch] of Object.entries(LAUNCHERS))
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: (params) => launch(params.backend as WasmBackend, params.inputs as unknown as Inputs, params.attrs as unknown as Inputs),
    });
}

async function open(name: string, threads?: ThreadOptions): Promise<WasmBackend> {
  const backend = new WasmBackend(await openInstance(threads), name);
  nameKernels(name);
  // Below WebGPU, above the CPU, as TensorFlow.js ranks its own.
  tf.registerBackend(name, () => backend, 2);
  if (!(await tf.setBackend(name))) {
    tf.removeBackend(name);
    throw new Error("TensorFlow.js did not take the WASM backend");
  }
  void backend.instance.lost.then(() => {
    spoiled = true;
  });
  return backend;
}

/** This thread's backend, registered for one user more; whoever asks first for threads says how many. Rejects where the platform has no
 *  WebAssembly, no SIMD in it, or forbids it. */
export function registerWasmBackend(threads?: ThreadOptions): Promise<WasmBackend> {
  const name = threads === undefined || spoiled ? ALONE : TOGETHER;
  const known = registered.get(name);
  if (known !== undefined) {
    known.users += 1;
    return known.opened;
  }
  const opened = open(name, name === ALONE ? undefined : threads);
  registered.set(name, { opened, users: 1 });
  opened.catch(() => registered.delete(name));
  return opened;
}

/** One user less: to be called once for each registration. The last one takes the backend with it, its threads and its memory. */
export function unregisterWasmBackend({ name }: WasmBackend): void {
  const known = registered.get(name);
  if (known === undefined) throw new Error(`The ${name} backend is not registered`);
  known.users -= 1;
  if (known.users > 0) return;
  registered.delete(name);
  tf.removeBackend(name);
}
