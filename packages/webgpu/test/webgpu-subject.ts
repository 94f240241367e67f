// WebGPU as the shared suites want it. A missing adapter fails.
import {
  canHalf,
  FlatReadBack,
  inPrecision,
  installKernels,
  openDevice,
  registerWebGpuBackend,
  restoreKernel,
  strikeKernel,
  unregisterWebGpuBackend,
} from "../src/index.ts";
import type { Subject } from "./subject.ts";

/** `without`: kernels and variants that it does without. `precision` is asked for; a device without half precision computes in f32. */
export async function openWebGpuSubject(without: readonly string[] = [], precision: "f32" | "f16" = "f32"): Promise<Subject> {
  const opened = await openDevice({ gpu: navigator.gpu, allowSoftware: true });
  if (!opened.ok) throw new Error(`${opened.message}: see the flags in vite.config.ts`);
  const backend = await registerWebGpuBackend(opened.value);
  installKernels();
  for (const name of without) strikeKernel(name);
  const readBack = new FlatReadBack(backend);
  return {
    read: (tensors) => readBack.read(tensors),
    half: precision === "f16" && canHalf(backend),
    run: (launch) => inPrecision(precision, launch),
    close: () => {
      for (const name of without) restoreKernel(name);
      readBack.dispose();
      unregisterWebGpuBackend(backend);
    },
  };
}
