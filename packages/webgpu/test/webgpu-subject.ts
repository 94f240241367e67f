// WebGPU as the shared suites want it. A missing adapter fails.
import { FlatReadBack, installKernels, openDevice, registerWebGpuBackend, unregisterWebGpuBackend } from "../src/index.ts";
import type { Subject } from "./subject.ts";

export async function openWebGpuSubject(): Promise<Subject> {
  const opened = await openDevice({ gpu: navigator.gpu, allowSoftware: true });
  if (!opened.ok) throw new Error(`${opened.message}: see the flags in vite.config.ts`);
  const backend = await registerWebGpuBackend(opened.value);
  installKernels();
  const readBack = new FlatReadBack(backend);
  return {
    read: (tensors) => readBack.read(tensors),
    close: () => {
      readBack.dispose();
      unregisterWebGpuBackend(backend);
    },
  };
}
