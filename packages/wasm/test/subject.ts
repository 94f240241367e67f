// The WASM backend as the suites that all backends share want it: the one that is registered, where there is one.
import type { Subject } from "../../webgpu/test/subject.ts";
import { registerWasmBackend, unregisterWasmBackend } from "../src/index.ts";

export async function openSubject(): Promise<Subject> {
  const backend = await registerWasmBackend();
  return {
    read: async (tensors) => {
      const flat = new Float32Array(tensors.reduce((sum, { size }) => sum + size, 0));
      let offset = 0;
      for (const tensor of tensors) {
        flat.set(tensor.dataSync<"float32">(), offset);
        offset += tensor.size;
      }
      return flat;
    },
    close: () => unregisterWasmBackend(backend),
  };
}
