// Training on the processor under TensorFlow.js: a backend of our own with kernels in WebAssembly SIMD.
export { WASM, type WasmBackend } from "./backend.ts";
export { FixedInputs, FlatParameters } from "./flat-memory.ts";
export { registerWasmBackend } from "./install.ts";
export { WasmMemoryError } from "./instance.ts";
export { Tape } from "./tape.ts";
