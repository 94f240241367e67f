// Counter-based random numbers on the GPU, the same bits as @weft/tensors gives on the CPU (Threefry-2x32 with 20 rounds, SC 2011), and
// dropout. Element i of step s is word i mod 2 of block s * 2^32 + floor(i / 2) of its stream; the step stands in a buffer, so that a
// recorded step draws anew each time it is replayed, and the backward pass draws what the forward pass drew.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import { type TensorInfo, util } from "@tensorflow/tfjs-core";
import { type Kernel, launch, workgroupsFor } from "../launch.ts";

const THREADS = 64;

const ROTATIONS = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
] as const;
const rounds = (group: number): string => {
  const words = ["key.x", "key.y", "third"];
  const word = (at: number): string => words[at % 3] as string;
  const mixed = (ROTATIONS[(group + 1) % 2] as readonly number[])
    .map((by) => `x = x + y; y = ((y << ${by}u) | (y >> ${32 - by}u)) ^ x;`)
    .join(" ");
  return `  ${mixed} x = x + ${word(group)}; y = y + ${word(group + 1)} + ${group}u;`;
};

/** `threefry(key, counter)`: the two words of a block. */
export const THREEFRY = `
fn threefry(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
  let third = 0x1bd11bdau ^ key.x ^ key.y;
  var x = counter.x + key.x;
  var y = counter.y + key.y;
${[1, 2, 3, 4, 5].map(rounds).join("\n")}
  return vec2<u32>(x, y);
}`;
/** `uniformOf(i)`: element i of this step, in [0, 1). Reads the key from the uniforms and the step from `step`. */
const UNIFORM_OF = `${THREEFRY}
fn uniformOf(i: u32) -> f32 {
  let words = threefry(vec2<u32>(uniforms.key0, uniforms.key1), vec2<u32>(i / 2u, u32(step[0])));
  return f32(select(words.x, words.y, i % 2u == 1u) >> 8u) * ${1 / 16_777_216};
}`;
const elementwise = (statement: string): string => `${UNIFORM_OF}
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < uniforms.size; i = i + groups.x * ${THREADS}u) { ${statement} }
}`;

const fill: Kernel = {
  name: "randomUniform",
  outputs: { y: "f32" },
  inputs: { step: "i32" },
  uniforms: { size: "u32", key0: "u32", key1: "u32" },
  body: elementwise("y[i] = uniformOf(i);"),
};
const drop: Kernel = {
  name: "dropout",
  outputs: { y: "f32" },
  inputs: { x: "f32", step: "i32" },
  uniforms: { size: "u32", key0: "u32", key1: "u32", rate: "f32", scale: "f32" },
  body: elementwise("y[i] = select(0.0, x[i] * uniforms.scale, uniformOf(i) >= uniforms.rate);"),
};

/** From `streamKey`. */
export type Key = readonly [number, number];

/** Uniforms in [0, 1) of this shape. `step` int32 [1], not negative. */
export function randomUniform(backend: WebGPUBackend, shape: readonly number[], key: Key, step: TensorInfo): TensorInfo[] {
  const size = util.sizeFromShape([...shape]);
  return launch(backend, {
    kernel: fill,
    inputs: [step],
    outputs: [shape],
    uniforms: [size, ...key],
    workgroups: [workgroupsFor(size, THREADS), 1, 1],
  });
}

/** Each value dropped with probability `rate`, in [0, 1), and otherwise divided by 1 - rate (Srivastava et al., JMLR 2014). The gradient is
 *  the same function of dy. */
export function dropout(backend: WebGPUBackend, x: TensorInfo, key: Key, step: TensorInfo, rate: number): TensorInfo[] {
  if (!(rate >= 0 && rate < 1)) throw new Error(`A dropout of ${rate} is none`);
  const size = util.sizeFromShape(x.shape);
  return launch(backend, {
    kernel: drop,
    inputs: [x, step],
    outputs: [x.shape],
    uniforms: [size, ...key, rate, 1 / (1 - rate)],
    workgroups: [workgroupsFor(size, THREADS), 1, 1],
  });
}
