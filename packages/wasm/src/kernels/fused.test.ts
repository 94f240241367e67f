// The fused kernels on WASM, by the suite that all backends share.
import { describeFusedKernels } from "../../../webgpu/test/fused-suite.ts";
import { openSubject } from "../../test/subject.ts";

describeFusedKernels("the fused kernels on WASM", openSubject);
