// The models' fused operations on WASM, by the suites that all backends share.
import { describeConvolution } from "../../webgpu/test/convolution-suite.ts";
import { describeFusedKernels } from "../../webgpu/test/fused-suite.ts";
import { describeLinear } from "../../webgpu/test/linear-suite.ts";
import { describeLstm } from "../../webgpu/test/lstm-suite.ts";
import { openSubject } from "./subject.ts";

describeFusedKernels("the fused kernels on WASM", openSubject);
describeLinear("the dense layer on WASM", openSubject);
describeLstm("the recurrence of an LSTM on WASM", openSubject);
describeConvolution("convolution with ReLU and pooling on WASM", openSubject);
