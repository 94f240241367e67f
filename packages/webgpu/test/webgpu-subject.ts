// WebGPU as the shared suites want it. A missing adapter fails.
import {
  FlatReadBack,
  installKernels,
  openDevice,
  registerWebGpuBackend,
  restoreKernel,
  strikeKernel,
  unregisterWebGpuBackend,
} from "../src/index.ts";
import type { Subject } from "./subject.ts";

/** `without`: kernels and variants that it does without. */
export async function openWebGpuSubject(without: readonly string[] = []): Promise<Subject> {
  const opened = await openDevice({ gpu: navigator.gpu, allowSoftware: true });
  if (!opened.ok) throw new Error(`${opened.message}: see the flags in vite.config.ts`);
  const backend = await registerWebGpuBackend(opened.value);
  installKernels();
  for (const name of without) strikeKernel(name);
  const readBack = new FlatReadBack(backend);
  return {
    read: (tensors) => readBack.read(tensors),
    close: () => {
      for (const name of without) restoreKernel(name);
      readBack.dispose();
      unregisterWebGpuBackend(backend);
    },
  };
}
