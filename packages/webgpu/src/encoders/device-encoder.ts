// How a device encodes by one codec: its shaders, compiled, and how many bytes they leave where. Knows no update and no TensorFlow.js.
import { PACK_INT4, PACK_TERNARY, quantiseShader } from "./quantise.ts";

interface Quantiser {
  /** Levels are whole numbers from -top to top. */
  readonly top: number;
  /** Levels of one packed word; `pack` null: levels are bytes already. */
  readonly levelsPerWord: number;
  readonly pack: string | null;
  packedBytes(size: number): number;
}
const QUANTISERS: Readonly<Record<string, Quantiser>> = {
  int8: { top: 127, levelsPerWord: 4, pack: null, packedBytes: (size) => size },
  int4: { top: 7, levelsPerWord: 8, pack: PACK_INT4, packedBytes: (size) => Math.ceil(size / 2) },
  ternary: { top: 1, levelsPerWord: 20, pack: PACK_TERNARY, packedBytes: (size) => Math.ceil(size / 5) },
};
/** Codecs that encode on a device. */
export const DEVICE_CODECS: readonly string[] = Object.keys(QUANTISERS);

export const COMBINE_THREADS = 64;
/** Value by value into `sum`; what is not finite stays not finite, though WGSL promises nothing of sums with infinities. */
const combineShader = (sign: "+" | "-"): string => `
@group(0) @binding(0) var<storage, read_write> sum: array<u32>;
@group(0) @binding(1) var<storage, read> more: array<u32>;
fn isFinite(bits: u32) -> bool { return (bits & 0x7f800000u) != 0x7f800000u; }
@compute @workgroup_size(${COMBINE_THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < arrayLength(&sum); i = i + groups.x * ${COMBINE_THREADS}u) {
    if (!isFinite(more[i])) { sum[i] = more[i]; }
    else if (isFinite(sum[i])) { sum[i] = bitcast<u32>(bitcast<f32>(sum[i]) ${sign} bitcast<f32>(more[i])); }
  }
}`;

export class DeviceEncoder {
  readonly codec: string;
  readonly quantiser: Quantiser;
  readonly add: GPUComputePipeline;
  readonly subtract: GPUComputePipeline;
  readonly quantise: GPUComputePipeline;
  /** Null: levels are bytes already. */
  readonly pack: GPUComputePipeline | null;

  private constructor(codec: string, quantiser: Quantiser, pipelines: readonly GPUComputePipeline[]) {
    const [add, subtract, quantise, pack = null] = pipelines as [GPUComputePipeline, GPUComputePipeline, GPUComputePipeline];
    this.codec = codec;
    this.quantiser = quantiser;
    this.add = add;
    this.subtract = subtract;
    this.quantise = quantise;
    this.pack = pack;
  }

  /** Of one of DEVICE_CODECS. Rejects where the device does not compile a shader, or is lost. */
  static async compile(device: GPUDevice, codec: string): Promise<DeviceEncoder> {
    const quantiser = QUANTISERS[codec];
    if (quantiser === undefined) throw new Error(`The codec ${codec} does not encode on a device`);
    const pipeline = (name: string, code: string): Promise<GPUComputePipeline> => {
      const label = `weft update ${name}`;
      const module = device.createShaderModule({ code, label });
      return device.createComputePipelineAsync({ compute: { module, entryPoint: "main" }, label, layout: "auto" });
    };
    const { top, pack } = quantiser;
    const pipelines = await Promise.all([
      pipeline("add", combineShader("+")),
      pipeline("subtract", combineShader("-")),
      pipeline(codec, quantiseShader(top)),
      ...(pack === null ? [] : [pipeline(`pack ${codec}`, pack)]),
    ]);
    return new DeviceEncoder(codec, quantiser, pipelines);
  }
}
