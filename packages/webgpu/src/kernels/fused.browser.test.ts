// The fused kernels on WebGPU. A missing adapter fails.
import { describeFusedKernels } from "../../test/fused-suite.ts";
import { FlatReadBack, installKernels, openDevice, registerWebGpuBackend, unregisterWebGpuBackend } from "../index.ts";

describeFusedKernels("the fused kernels on WebGPU", async () => {
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
});
