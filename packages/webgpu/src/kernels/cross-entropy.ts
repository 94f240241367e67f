// Softmax cross-entropy on integer targets, weighted and summed; no one-hot is ever made. Forward in one dispatch where a sample has one
// answer, as an image has, in two where it has many, as text has; backward in one.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import type { TensorInfo } from "@tensorflow/tfjs-core";
import { type Kernel, launch, workgroupsFor } from "../launch.ts";
import { usesSubgroups } from "../variants.ts";
import { ROW_THREADS, rowKernel } from "./row-sum.ts";

const rows = (subgroups: boolean): Kernel =>
  rowKernel(
    {
      name: "crossEntropyRows",
      outputs: { losses: "f32", logSums: "f32" },
      inputs: { logits: "f32", targets: "i32", weights: "f32" },
      uniforms: { rows: "u32", classes: "u32", predictions: "u32" },
    },
    subgroups,
    `
  for (var row = group.x; row < uniforms.rows; row = row + groups.x) {
    let start = row * uniforms.classes;
    var largest = -3.4e38;
    for (var c = thread; c < uniforms.classes; c = c + ${ROW_THREADS}u) { largest = max(largest, logits[start + c]); }
    largest = rowMax(thread, largest);
    var sum = 0.0;
    for (var c = thread; c < uniforms.classes; c = c + ${ROW_THREADS}u) { sum = sum + exp(logits[start + c] - largest); }
    let rest = log(rowSum(thread, sum));
    if (thread == 0u) {
      let target_ = min(u32(targets[row]), uniforms.classes - 1u);
      logSums[row] = largest + rest;
      losses[row] = (rest - (logits[start + target_] - largest)) * weights[row / uniforms.predictions] / f32(uniforms.predictions);
    }
  }`,
  );

const total = (subgroups: boolean): Kernel =>
  rowKernel(
    { name: "total", outputs: { sum: "f32" }, inputs: { values: "f32" }, uniforms: { size: "u32" } },
    subgroups,
    `
  var part = 0.0;
  for (var i = thread; i < uniforms.size; i = i + ${ROW_THREADS}u) { part = part + values[i]; }
  let all = rowSum(thread, part);
  if (thread == 0u) { sum[0] = all; }`,
  );

/** Few rows of few classes: each thread takes whole rows, one workgroup all of them. */
const answers = (subgroups: boolean): Kernel =>
  rowKernel(
    {
      name: "crossEntropyAnswers",
      outputs: { sum: "f32", logSums: "f32" },
      inputs: { logits: "f32", targets: "i32", weights: "f32" },
      uniforms: { rows: "u32", classes: "u32" },
    },
    subgroups,
    `
  var part = 0.0;
  for (var row = thread; row < uniforms.rows; row = row + ${ROW_THREADS}u) {
    let start = row * uniforms.classes;
    var largest = -3.4e38;
    for (var c = 0u; c < uniforms.classes; c = c + 1u) { largest = max(largest, logits[start + c]); }
    var exponentials = 0.0;
    for (var c = 0u; c < uniforms.classes; c = c + 1u) { exponentials = exponentials + exp(logits[start + c] - largest); }
    let rest = log(exponentials);
    let target_ = min(u32(targets[row]), uniforms.classes - 1u);
    logSums[row] = largest + rest;
    part = part + (rest - (logits[start + target_] - largest)) * weights[row];
  }
  let all = rowSum(thread, part);
  if (thread == 0u) { sum[0] = all; }`,
  );

const backward: Kernel = {
  name: "crossEntropyGradient",
  outputs: { dLogits: "f32" },
  inputs: { dy: "f32", logits: "f32", logSums: "f32", targets: "i32", weights: "f32" },
  uniforms: { rows: "u32", classes: "u32", predictions: "u32" },
  body: `
@compute @workgroup_size(${ROW_THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < uniforms.rows * uniforms.classes; i = i + groups.x * ${ROW_THREADS}u) {
    let row = i / uniforms.classes;
    let target_ = min(u32(targets[row]), uniforms.classes - 1u);
    let hot = select(0.0, 1.0, i - row * uniforms.classes == target_);
    let weight = dy[0] * weights[row / uniforms.predictions] / f32(uniforms.predictions);
    dLogits[i] = (exp(logits[i] - logSums[row]) - hot) * weight;
  }
}`,
};

export interface CrossEntropy {
  /** [rows, classes] */
  readonly logits: TensorInfo;
  /** int32 [rows] */
  readonly targets: TensorInfo;
  /** [rows / predictions]: each sample's weight is shared evenly by its predictions. */
  readonly weights: TensorInfo;
  readonly predictions: number;
}

/** The scalar loss and, for the backward pass, the log of each row's sum of exponentials [rows]. */
export function crossEntropy(backend: WebGPUBackend, { logits, targets, weights, predictions }: CrossEntropy): TensorInfo[] {
  const [count, classes] = logits.shape as [number, number];
  if (predictions === 1)
    return launch(backend, {
      kernel: answers(usesSubgroups(backend)),
      inputs: [logits, targets, weights],
      outputs: [[], [count]],
      uniforms: [count, classes],
      workgroups: [1, 1, 1],
    });
  const [losses, logSums] = launch(backend, {
    kernel: rows(usesSubgroups(backend)),
    inputs: [logits, targets, weights],
    outputs: [[count], [count]],
    uniforms: [count, classes, predictions],
    workgroups: [workgroupsFor(count), 1, 1],
  }) as [TensorInfo, TensorInfo];
  const [sum] = launch(backend, {
    kernel: total(usesSubgroups(backend)),
    inputs: [losses],
    outputs: [[]],
    uniforms: [count],
    workgroups: [1, 1, 1],
  });
  backend.disposeData(losses.dataId as object);
  return [sum as TensorInfo, logSums];
}

/** Gradient of the logits, from that of the loss (a scalar). */
export function crossEntropyGradient(
  backend: WebGPUBackend,
  { logits, targets, weights, predictions }: CrossEntropy,
  dy: TensorInfo,
  logSums: TensorInfo,
): TensorInfo[] {
  const [count, classes] = logits.shape as [number, number];
  return launch(backend, {
    kernel: backward,
    inputs: [dy, logits, logSums, targets, weights],
    outputs: [logits.shape],
    uniforms: [count, classes, predictions],
    workgroups: [workgroupsFor(count * classes, ROW_THREADS), 1, 1],
  });
}
