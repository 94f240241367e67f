// Layer norm over the last axis of [rows, width] (Ba et al., 1607.06450): forward in one dispatch, backward in two. Mean and inverse
// deviation of each row are kept from the forward pass.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import type { TensorInfo } from "@tensorflow/tfjs-core";
import { type Kernel, launch, workgroupsFor } from "../launch.ts";
import { usesSubgroups } from "../variants.ts";
import { ROW_THREADS, rowKernel } from "./row-sum.ts";

const eachRow = (body: string): string => `
  let width = f32(uniforms.width);
  for (var row = group.x; row < uniforms.rows; row = row + groups.x) {
    let start = row * uniforms.width;${body}
  }`;
const each = (body: string): string => `
    for (var c = thread; c < uniforms.width; c = c + ${ROW_THREADS}u) { ${body} }`;

const forward = (hasBias: boolean, subgroups: boolean): Kernel =>
  rowKernel(
    {
      name: `layerNorm ${hasBias}`,
      outputs: { y: "f32", statistics: "vec2<f32>" },
      inputs: { x: "f32", gain: "f32", ...(hasBias ? { bias: "f32" as const } : {}) },
      uniforms: { rows: "u32", width: "u32", epsilon: "f32" },
    },
    subgroups,
    eachRow(`
    var sum = 0.0;${each("sum = sum + x[start + c];")}
    let mean = rowSum(thread, sum) / width;
    var squares = 0.0;${each("let away = x[start + c] - mean; squares = squares + away * away;")}
    let inverse = inverseSqrt(rowSum(thread, squares) / width + uniforms.epsilon);
    if (thread == 0u) { statistics[row] = vec2<f32>(mean, inverse); }${each(
      `y[start + c] = (x[start + c] - mean) * inverse * gain[c]${hasBias ? " + bias[c]" : ""};`,
    )}`),
  );

/** dx = r (du - mean(du) - u mean(du u)), with u the normalised row, r its inverse deviation and du = dy gain. */
const backwardInput = (subgroups: boolean): Kernel =>
  rowKernel(
    {
      name: "layerNormInput",
      outputs: { dx: "f32" },
      inputs: { dy: "f32", x: "f32", gain: "f32", statistics: "vec2<f32>" },
      uniforms: { rows: "u32", width: "u32" },
    },
    subgroups,
    eachRow(`
    let mean = statistics[row].x;
    let inverse = statistics[row].y;
    var sum = 0.0;
    var along = 0.0;${each(`
      let du = dy[start + c] * gain[c];
      sum = sum + du;
      along = along + du * (x[start + c] - mean) * inverse;`)}
    let meanSum = rowSum(thread, sum) / width;
    let meanAlong = rowSum(thread, along) / width;${each(
      "dx[start + c] = inverse * (dy[start + c] * gain[c] - meanSum - (x[start + c] - mean) * inverse * meanAlong);",
    )}`),
  );

const COLUMNS = 8;
const LANES = 8;

/** Sums over the rows: each workgroup takes 8 columns, its 8 lanes every eighth row. */
const backwardParameters = (hasBias: boolean): Kernel => ({
  name: `layerNormParameters ${hasBias}`,
  outputs: { dGain: "f32", ...(hasBias ? { dBias: "f32" as const } : {}) },
  inputs: { dy: "f32", x: "f32", statistics: "vec2<f32>" },
  uniforms: { rows: "u32", width: "u32" },
  body: `
var<workgroup> partial: array<vec2<f32>, ${COLUMNS * LANES}>;
@compute @workgroup_size(${COLUMNS}, ${LANES})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let column = group.x * ${COLUMNS}u + local.x;
  var sum = vec2<f32>();
  if (column < uniforms.width) {
    for (var row = local.y; row < uniforms.rows; row = row + ${LANES}u) {
      let slope = dy[row * uniforms.width + column];
      let unit = (x[row * uniforms.width + column] - statistics[row].x) * statistics[row].y;
      sum = sum + vec2<f32>(slope * unit, slope);
    }
  }
  partial[local.y * ${COLUMNS}u + local.x] = sum;
  workgroupBarrier();
  if (local.y == 0u && column < uniforms.width) {
    for (var lane = 1u; lane < ${LANES}u; lane = lane + 1u) { sum = sum + partial[lane * ${COLUMNS}u + local.x]; }
    dGain[column] = sum.x;${hasBias ? "\n    dBias[column] = sum.y;" : ""}
  }
}`,
});

const extents = (x: TensorInfo) => x.shape as [number, number];

/** y and, for the backward pass, the rows' statistics [rows, 2]. */
export function layerNorm(backend: WebGPUBackend, x: TensorInfo, gain: TensorInfo, bias: TensorInfo | undefined, epsilon: number) {
  const [rows, width] = extents(x);
  return launch(backend, {
    kernel: forward(bias !== undefined, usesSubgroups(backend)),
    inputs: [x, gain, ...(bias === undefined ? [] : [bias])],
    outputs: [x.shape, [rows, 2]],
    uniforms: [rows, width, epsilon],
    workgroups: [workgroupsFor(rows), 1, 1],
  });
}

/** Gradients of x, of the gain and, where there is one, of the bias. */
export function layerNormGradient(
  backend: WebGPUBackend,
  { dy, x, gain, statistics, hasBias }: { dy: TensorInfo; x: TensorInfo; gain: TensorInfo; statistics: TensorInfo; hasBias: boolean },
): TensorInfo[] {
  const [rows, width] = extents(x);
  const input = launch(backend, {
    kernel: backwardInput(usesSubgroups(backend)),
    inputs: [dy, x, gain, statistics],
    outputs: [x.shape],
    uniforms: [rows, width],
    workgroups: [workgroupsFor(rows), 1, 1],
  });
  const parameters = launch(backend, {
    kernel: backwardParameters(hasBias),
    inputs: [dy, x, statistics],
    outputs: hasBias ? [[width], [width]] : [[width]],
    uniforms: [rows, width],
    workgroups: [Math.ceil(width / COLUMNS), 1, 1],
  });
  return [...input, ...parameters];
}
