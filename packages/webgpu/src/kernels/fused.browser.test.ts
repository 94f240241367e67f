// The fused kernels on WebGPU, by the suite that all backends share.
import { describeFusedKernels } from "../../test/fused-suite.ts";
import { openWebGpuSubject } from "../../test/webgpu-subject.ts";

describeFusedKernels("the fused kernels on WebGPU", openWebGpuSubject);
