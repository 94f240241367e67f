// How a device encodes by one codec: its shaders, compiled. Knows no update and no TensorFlow.js.
import { combineShader, FEEDBACK } from "./combine.ts";
import { FORMS, type Form } from "./forms.ts";

/** Codecs that encode on a device. */
export const DEVICE_CODECS: readonly string[] = Object.keys(FORMS);

export interface EncoderPipelines {
  readonly add: GPUComputePipeline;
  readonly subtract: GPUComputePipeline;
  /** Null where the codec needs no error feedback. */
  readonly feedback: GPUComputePipeline | null;
  /** Of the form's shaders. */
  readonly stages: readonly GPUComputePipeline[];
}

export class DeviceEncoder {
  readonly codec: string;
  readonly form: Form;
  readonly pipelines: EncoderPipelines;

  private constructor(codec: string, form: Form, pipelines: EncoderPipelines) {
    this.codec = codec;
    this.form = form;
    this.pipelines = pipelines;
  }

  /** Of one of DEVICE_CODECS. Rejects where the device does not compile a shader, or is lost. */
  static async compile(device: GPUDevice, codec: string): Promise<DeviceEncoder> {
    const form = FORMS[codec];
    if (form === undefined) throw new Error(`The codec ${codec} does not encode on a device`);
    const pipeline = (name: string, code: string): Promise<GPUComputePipeline> => {
      const label = `weft update ${name}`;
      const module = device.createShaderModule({ code, label });
      return device.createComputePipelineAsync({ compute: { module, entryPoint: "main" }, label, layout: "auto" });
    };
    const [add, subtract, feedback, ...stages] = await Promise.all([
      pipeline("add", combineShader("+")),
      pipeline("subtract", combineShader("-")),
      form.feedback === null ? null : pipeline("feedback", FEEDBACK),
      ...form.shaders.map((code, stage) => pipeline(`${codec} ${stage}`, code)),
    ]);
    return new DeviceEncoder(codec, form, { add, subtract, feedback, stages: stages as GPUComputePipeline[] });
  }
}
