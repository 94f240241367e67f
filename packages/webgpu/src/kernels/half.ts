// Half precision: factors of matrix products as f16, in buffers half the size; products and their sums stay f32. Each factor is packed once
// and used by the forward pass and by both products of the backward pass.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import { type TensorInfo, util } from "@tensorflow/tfjs-core";
import { type Element, type Kernel, launch, workgroupsFor } from "../launch.ts";

const THREADS = 64;
const MAX_F16 = 65_504;

/** By what gradients are multiplied before they are packed, and the products made of them divided by: f16 has nothing between 0 and 6e-8.
 *  A power of two, so that it rounds nothing. Slopes of a loss that is a sum over samples are seldom above 1; beyond 64 they are cut. */
export const GRADIENT_SCALE = 1024;

/** `half(x)`: x in f16, cut at the largest number that f16 has. What is not finite stays so, told by its bits: comparisons need not tell. */
export const HALF_OF = `
fn half(x: f32) -> f16 {
  if ((bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u) { return f16(x); }
  return f16(clamp(x, -${MAX_F16}.0, ${MAX_F16}.0));
}`;

/** Shape of the f32 tensor that has room for `size` values of f16, in whole vectors of four. */
export const halfShape = (size: number): [number] => [2 * Math.ceil(size / 4)];

/** The values of a packed tensor, under the shape that they had. For kernels that read f16 alone. */
export const asPacked = ({ dataId }: TensorInfo, shape: readonly number[]): TensorInfo => ({
  dataId,
  shape: [...shape],
  dtype: "float32",
});

function pack(count: number): Kernel {
  const all = Array.from({ length: count }, (_, index) => index);
  const named = <T>(name: string, value: T): Readonly<Record<string, T>> =>
    Object.fromEntries(all.map((index) => [`${name}${index}`, value]));
  const value = (index: number, lane: number): string => `at${index}(4u * i + ${lane}u)`;
  return {
    name: `packHalf ${count}`,
    enables: ["f16"],
    outputs: named<Element>("packed", "vec4<f16>"),
    inputs: named<Element>("values", "f32"),
    uniforms: { ...named("size", "u32" as const), scale: "f32" },
    body: `${HALF_OF}
${all.map((k) => `fn at${k}(i: u32) -> f16 { if (i >= uniforms.size${k}) { return 0.0h; } return half(values${k}[i] * uniforms.scale); }`).join("\n")}
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
${all
  .map(
    (k) => `  for (var i = id.x; 4u * i < uniforms.size${k}; i = i + groups.x * ${THREADS}u) {
    packed${k}[i] = vec4<f16>(${[0, 1, 2, 3].map((lane) => value(k, lane)).join(", ")});
  }`,
  )
  .join("\n")}
}`,
  };
}

/** Packs f32 tensors, one or two in one dispatch, each multiplied by `scale` first. Results have the shape of `halfShape`. */
export function packHalf(backend: WebGPUBackend, tensors: readonly TensorInfo[], scale = 1): TensorInfo[] {
  const sizes = tensors.map(({ shape }) => util.sizeFromShape(shape));
  return launch(backend, {
    kernel: pack(tensors.length),
    inputs: tensors,
    outputs: sizes.map(halfShape),
    uniforms: [...sizes, scale],
    workgroups: [workgroupsFor(Math.max(...sizes), 4 * THREADS), 1, 1],
  });
}
