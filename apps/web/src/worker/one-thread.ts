// Keeps TensorFlow.js's WASM backend to the one thread it is called in. Call it before an engine is made. Knows no engine.
import { env } from "@tensorflow/tfjs-core";

/**
 * On a cross-origin-isolated page the backend would start threads, each a worker that runs `importScripts` on a script it was handed as a
 * blob. The content security policy forbids that (`script-src 'self'`), and the backend offers no way to name a script of the page's own
 * origin instead; to allow scripts from blobs would let whatever text reaches the page become code. So: one thread, with SIMD.
 */
export function computeInOneThread(): void {
  // Registered here too, since the backend that registers it is loaded later; a value that was set stays.
  env().registerFlag("WASM_HAS_MULTITHREAD_SUPPORT", () => false);
  env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
}
