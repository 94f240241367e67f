// Where the WASM binaries lie when Node runs the tests.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

export const NODE_WASM_PATHS = `${join(dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm")))}/`;
