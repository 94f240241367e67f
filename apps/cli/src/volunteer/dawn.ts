// WebGPU in Node: the optional npm package `webgpu`, Dawn with its bindings. Whoever wants it installs it; Weft runs without.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

export const WITHOUT_DAWN =
  "Node has no WebGPU by itself: to lend this machine's GPU, install the optional package with `npm install --no-save webgpu@0.6.2`.";

interface Dawn {
  /** Of Dawn's switches none is needed. */
  readonly create: (options: readonly string[]) => GPU;
  /** The classes and constants that a browser has as globals. */
  readonly globals: Readonly<Record<string, unknown>>;
}

/** Not written as an import, so that neither compiler nor bundler looks for a package that need not be there. Null: it is not. */
function locate(): string | null {
  try {
    return pathToFileURL(createRequire(import.meta.url).resolve("webgpu")).href;
  } catch {
    return null;
  }
}

export const hasDawn = (): boolean => locate() !== null;

/** Makes this thread look like a browser's worker to whoever uses WebGPU. Call it before TensorFlow.js is loaded, once a thread. Null:
 *  the package is absent, or does not run on this system. */
export async function openDawn(): Promise<GPU | null> {
  const address = locate();
  if (address === null) return null;
  try {
    const { create, globals } = (await import(address)) as Dawn;
    const gpu = create([]);
    Object.assign(globalThis, globals);
    Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true });
    // TensorFlow.js looks for WebGPU in windows and workers alone.
    Object.assign(globalThis, { WorkerGlobalScope: class {} });
    return gpu;
  } catch (error) {
    process.stderr.write(`WebGPU did not start: ${error instanceof Error ? error.message : String(error)}\n`);
    return null;
  }
}
