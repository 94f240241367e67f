// Convolution with ReLU and pooling on WebGPU, by the suite that all backends share.
import { describeConvolution } from "../../test/convolution-suite.ts";
import { openWebGpuSubject } from "../../test/webgpu-subject.ts";

describeConvolution("convolution with ReLU and pooling on WebGPU", () => openWebGpuSubject());
