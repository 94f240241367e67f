// Makes a Node process look like a browser to the tests of WebGPU: the optional package `webgpu` (Dawn) under the globals that pages have.
// For `npx vitest run --project dawn`, on a machine whose GPU no browser here reaches; without the package it fails.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

interface Dawn {
  readonly create: (options: readonly string[]) => GPU;
  readonly globals: Readonly<Record<string, unknown>>;
}

const address = ((): string => {
  try {
    return createRequire(import.meta.url).resolve("webgpu");
  } catch {
    throw new Error("These tests need Dawn for Node: `npm install --no-save webgpu@0.6.2`");
  }
})();
const { create, globals } = (await import(/* @vite-ignore */ pathToFileURL(address).href)) as Dawn;
Object.assign(globalThis, globals);
Object.defineProperty(globalThis, "navigator", { value: { gpu: create([]) }, configurable: true });
// TensorFlow.js looks for WebGPU in windows and workers alone.
Object.assign(globalThis, { WorkerGlobalScope: class {} });
