// Where the built application serves TensorFlow.js's WASM binaries: its own origin. Knows nothing of who loads them.

import plain from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url";
import simd from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url";
import threaded from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-threaded-simd.wasm?url";

const absolute = (url: string): string => new URL(url, globalThis.location.href).href;

/** Absolute, since a nested worker started from a blob has no base of its own. */
export const wasmUrls = () => ({
  "tfjs-backend-wasm.wasm": absolute(plain),
  "tfjs-backend-wasm-simd.wasm": absolute(simd),
  "tfjs-backend-wasm-threaded-simd.wasm": absolute(threaded),
});
