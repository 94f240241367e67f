// Training on the processor under TensorFlow.js: a backend of our own with kernels in WebAssembly SIMD, on several threads where there are.
export type { WasmBackend } from "./backend.ts";
export { FixedInputs, FlatParameters } from "./flat-memory.ts";
export { FlatOptimizer } from "./flat-optimizer.ts";
export { registerWasmBackend, unregisterWasmBackend } from "./install.ts";
export { WasmMemoryError } from "./instance.ts";
export { type Output, Tape } from "./tape.ts";
export type { ThreadOptions } from "./team.ts";
