// GELU (Hendrycks and Gimpel, 1606.08415), exact or by GPT-2's tanh approximation, and its gradient: one dispatch each.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import { type TensorInfo, util } from "@tensorflow/tfjs-core";
import { type Kernel, launch, workgroupsFor } from "../launch.ts";

export type GeluKind = "exact" | "tanh";
const THREADS = 64;

/** `phi(x)` and `slope(x)`: GELU(x) = x phi(x), and slope its derivative. `suffix`: behind their names, where there are both kinds. */
export function geluFunctions(kind: GeluKind, suffix = ""): string {
  const [phi, slope] = [`phi${suffix}`, `slope${suffix}`];
  switch (kind) {
    case "exact":
      // erf by Abramowitz and Stegun, 7.1.26: absolute error below 1.5e-7.
      return `
fn ${phi}(x: f32) -> f32 {
  let z = abs(x) * ${Math.SQRT1_2};
  let t = 1.0 / (1.0 + 0.3275911 * z);
  let tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * exp(-z * z);
  return select(1.0 - 0.5 * tail, 0.5 * tail, x < 0.0);
}
fn ${slope}(x: f32) -> f32 { return ${phi}(x) + x * exp(-0.5 * x * x) * ${1 / Math.sqrt(2 * Math.PI)}; }`;
    case "tanh":
      // Beyond 10 tanh is 1 in f32; some devices answer NaN for large arguments.
      return `
fn bend(x: f32) -> f32 { return tanh(clamp(${Math.sqrt(2 / Math.PI)} * x * (1.0 + 0.044715 * x * x), -10.0, 10.0)); }
fn ${phi}(x: f32) -> f32 { return 0.5 * (1.0 + bend(x)); }
fn ${slope}(x: f32) -> f32 {
  let t = bend(x);
  return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * ${Math.sqrt(2 / Math.PI)} * (1.0 + ${3 * 0.044715} * x * x);
}`;
    default:
      throw kind satisfies never;
  }
}

const elementwise = (statement: string): string => `
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < uniforms.size; i = i + groups.x * ${THREADS}u) { ${statement} }
}`;

const forward = (kind: GeluKind): Kernel => ({
  name: `gelu ${kind}`,
  outputs: { y: "f32" },
  inputs: { x: "f32" },
  uniforms: { size: "u32" },
  body: `${geluFunctions(kind)}${elementwise("y[i] = x[i] * phi(x[i]);")}`,
});
const backward = (kind: GeluKind): Kernel => ({
  name: `geluGradient ${kind}`,
  outputs: { dx: "f32" },
  inputs: { dy: "f32", x: "f32" },
  uniforms: { size: "u32" },
  body: `${geluFunctions(kind)}${elementwise("dx[i] = dy[i] * slope(x[i]);")}`,
});

function run(backend: WebGPUBackend, kernel: Kernel, inputs: readonly TensorInfo[]): TensorInfo[] {
  const { shape } = inputs[0] as TensorInfo;
  const size = util.sizeFromShape(shape);
  return launch(backend, { kernel, inputs, outputs: [shape], uniforms: [size], workgroups: [workgroupsFor(size, THREADS), 1, 1] });
}

export const gelu = (backend: WebGPUBackend, x: TensorInfo, kind: GeluKind): TensorInfo[] => run(backend, forward(kind), [x]);
export const geluGradient = (backend: WebGPUBackend, dy: TensorInfo, x: TensorInfo, kind: GeluKind): TensorInfo[] =>
  run(backend, backward(kind), [dy, x]);
