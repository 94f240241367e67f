// The recurrence of an LSTM on WebGPU, by the suite that all backends share.
import { describeLstm } from "../../test/lstm-suite.ts";
import { openWebGpuSubject } from "../../test/webgpu-subject.ts";

describeLstm("the recurrence of an LSTM on WebGPU", () => openWebGpuSubject());
