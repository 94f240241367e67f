// Entry `@weft/engine/kernel-thread`: what a worker runs to compute WASM kernels with the engine's thread. Loads no TensorFlow.js.
export { type StartThread, serveKernels, type ThreadStart, type ThreadWord } from "@weft/wasm/thread";
