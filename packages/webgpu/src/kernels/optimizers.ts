// Optimisers over all parameters of a model at once: AdamW and SGD with momentum in one dispatch each, as @weft/training computes them at
// the coordinator; the norm of a whole gradient in one dispatch, and clipping by it in one more or within the optimiser's. Vectors are flat
// f32, their length a multiple of 4; values that no parameter has stay 0. What changes from step to step stands in a buffer.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import type { TensorInfo } from "@tensorflow/tfjs-core";
import type { OptimizerKind } from "@weft/tensors";
import { type Kernel, launch, workgroupsFor } from "../launch.ts";
import { usesSubgroups } from "../variants.ts";
import { rowKernel, ROW_THREADS as THREADS } from "./row-sum.ts";

/** Sums of squares that the norm is made of. */
const PARTIALS = 64;
const MAX_F32 = "3.4028234e38";

const EACH = `for (var i = id.x; i < uniforms.fours; i = i + groups.x * ${THREADS}u)`;

const squares = (subgroups: boolean): Kernel =>
  rowKernel(
    { name: "squares", outputs: { sums: "f32" }, inputs: { values: "vec4<f32>" }, uniforms: { fours: "u32" } },
    subgroups,
    `
  var sum = 0.0;
  ${EACH} { sum = sum + dot(values[i], values[i]); }
  let all = rowSum(thread, sum);
  if (thread == 0u) { sums[group.x] = all; }`,
  );

/** `factor`: by what gradients are multiplied, as torch.nn.utils.clip_grad_norm_ has it, on a gradient that is scaled first. */
const factorOf = (scale: string): string => `
  let norm = ${scale} * sqrt(rowSum(thread, sums[thread]));
  let factor = ${scale} * min(1.0, uniforms.limit / (norm + 1e-6));`;

const clip = (subgroups: boolean): Kernel =>
  rowKernel(
    { name: "clip", outputs: { values: "vec4<f32>" }, inputs: { sums: "f32" }, uniforms: { fours: "u32", limit: "f32" } },
    subgroups,
    `${factorOf("1.0")}
  ${EACH} { values[i] = values[i] * factor; }`,
  );

/** Sums of squares, [PARTIALS]: the norm is the root of their sum. */
export function squaresOf(backend: WebGPUBackend, values: TensorInfo): TensorInfo {
  return launch(backend, {
    kernel: squares(usesSubgroups(backend)),
    inputs: [values],
    outputs: [[PARTIALS]],
    uniforms: [foursOf(values)],
    workgroups: [PARTIALS, 1, 1],
  })[0] as TensorInfo;
}

/** Scales `values`, a tensor on a buffer of ours, so that its norm is at most `limit`; `sums` from `squaresOf`. */
export function clipByNorm(backend: WebGPUBackend, values: TensorInfo, sums: TensorInfo, limit: number): void {
  const fours = foursOf(values);
  const workgroups = [workgroupsFor(fours, THREADS), 1, 1] as const;
  launch(backend, { kernel: clip(usesSubgroups(backend)), inputs: [sums], outputs: [values], uniforms: [fours, limit], workgroups });
}

const addition: Kernel = {
  name: "add to a flat vector",
  outputs: { sum: "vec4<f32>" },
  inputs: { more: "vec4<f32>" },
  uniforms: { fours: "u32" },
  body: `
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  ${EACH} { sum[i] = sum[i] + more[i]; }
}`,
};

/** `sum` += `more`; `sum` is a tensor on a buffer of ours. */
export function addFlat(backend: WebGPUBackend, sum: TensorInfo, more: TensorInfo): void {
  const fours = foursOf(sum);
  launch(backend, {
    kernel: addition,
    inputs: [more],
    outputs: [sum],
    uniforms: [fours],
    workgroups: [workgroupsFor(fours, THREADS), 1, 1],
  });
}

const gradient = (clips: boolean): string => (clips ? factorOf("scalars[3]") : "\n  let factor = scalars[3];");

const adamw = (clips: boolean, subgroups: boolean): Kernel =>
  rowKernel(
    {
      name: `adamw ${clips}`,
      outputs: { weights: "vec4<f32>", first: "vec4<f32>", second: "vec4<f32>" },
      inputs: { gradients: "vec4<f32>", scalars: "f32", ...(clips ? { sums: "f32" as const } : {}) },
      uniforms: {
        fours: "u32",
        beta1: "f32",
        rest1: "f32",
        beta2: "f32",
        rest2: "f32",
        epsilon: "f32",
        ...(clips ? { limit: "f32" as const } : {}),
      },
    },
    clips && subgroups,
    `${gradient(clips)}
  ${EACH} {
    let g = gradients[i] * factor;
    let m = uniforms.beta1 * first[i] + uniforms.rest1 * g;
    let v = min(vec4<f32>(${MAX_F32}), uniforms.beta2 * second[i] + uniforms.rest2 * g * g);
    first[i] = m;
    second[i] = v;
    weights[i] = scalars[0] * weights[i] - scalars[1] * m / (sqrt(v) / scalars[2] + uniforms.epsilon);
  }`,
  );

const sgd = (clips: boolean, subgroups: boolean): Kernel =>
  rowKernel(
    {
      name: `sgd ${clips}`,
      outputs: { weights: "vec4<f32>", velocity: "vec4<f32>" },
      inputs: { gradients: "vec4<f32>", scalars: "f32", ...(clips ? { sums: "f32" as const } : {}) },
      uniforms: { fours: "u32", momentum: "f32", decay: "f32", ...(clips ? { limit: "f32" as const } : {}) },
    },
    clips && subgroups,
    `${gradient(clips)}
  ${EACH} {
    let weight = weights[i];
    let next = uniforms.momentum * velocity[i] + (gradients[i] * factor + uniforms.decay * weight);
    velocity[i] = next;
    weights[i] = weight - scalars[0] * next;
  }`,
  );

/** What a step's number and learning rate come to, as the kernels read it: 4 values. `gradientScale` turns sums into means. */
export function stepScalars(kind: OptimizerKind, step: number, learningRate: number, gradientScale: number): Float32Array<ArrayBuffer> {
  switch (kind.kind) {
    case "sgd":
      return Float32Array.of(learningRate, 0, 0, gradientScale);
    case "adamw":
      return Float32Array.of(
        1 - learningRate * kind.weightDecay,
        learningRate / (1 - kind.beta1 ** step),
        Math.sqrt(1 - kind.beta2 ** step),
        gradientScale,
      );
    default:
      throw kind satisfies never;
  }
}

/** How many state vectors an optimiser keeps. */
export const stateVectors = ({ kind }: OptimizerKind): number => (kind === "adamw" ? 2 : 1);

export interface FlatStep {
  readonly weights: TensorInfo;
  readonly gradients: TensorInfo;
  /** As many as `stateVectors` says, zeros at first. */
  readonly state: readonly TensorInfo[];
  /** [4], from `stepScalars`. */
  readonly scalars: TensorInfo;
  /** Largest norm of the scaled gradient; Infinity: it is not clipped. */
  readonly clipNorm: number;
}

/** One step, in place: one dispatch, or two with clipping. */
export function optimizerStep(backend: WebGPUBackend, kind: OptimizerKind, given: FlatStep): void {
  const { weights, gradients, state, scalars, clipNorm } = given;
  const clips = Number.isFinite(clipNorm);
  const fours = foursOf(weights);
  const sums = clips ? squaresOf(backend, gradients) : null;
  const limit = clips ? [clipNorm] : [];
  const subgroups = usesSubgroups(backend);
  const [kernel, own] =
    kind.kind === "adamw"
      ? [adamw(clips, subgroups), [kind.beta1, 1 - kind.beta1, kind.beta2, 1 - kind.beta2, kind.epsilon]]
      : [sgd(clips, subgroups), [kind.momentum, kind.weightDecay]];
  launch(backend, {
    kernel,
    inputs: [gradients, scalars, ...(sums === null ? [] : [sums])],
    outputs: [weights, ...state],
    uniforms: [fours, ...own, ...limit],
    workgroups: [workgroupsFor(fours, THREADS), 1, 1],
  });
  if (sums !== null) backend.disposeData(sums.dataId as object);
}

function foursOf({ shape }: TensorInfo): number {
  const size = shape.reduce((product, extent) => product * extent, 1);
  if (size % 4 !== 0) throw new Error(`A flat vector of ${size} values is no whole number of vectors of four`);
  return size / 4;
}
