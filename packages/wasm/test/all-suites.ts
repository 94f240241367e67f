// The models' fused operations on WASM, by the suites that all backends share.
import { describeConvolution } from "../../webgpu/test/convolution-suite.ts";
import { describeFusedKernels } from "../../webgpu/test/fused-suite.ts";
import { describeLinear } from "../../webgpu/test/linear-suite.ts";
import { describeLstm } from "../../webgpu/test/lstm-suite.ts";
import { openSubject } from "./subject.ts";

/** `where`: on what it is computed, as titles say. */
export function describeAll(where: string): void {
  describeFusedKernels(`the fused kernels on ${where}`, openSubject);
  describeLinear(`the dense layer on ${where}`, openSubject);
  describeLstm(`the recurrence of an LSTM on ${where}`, openSubject);
  describeConvolution(`convolution with ReLU and pooling on ${where}`, openSubject);
}
