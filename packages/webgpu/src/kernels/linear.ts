// A dense layer in one dispatch: product, bias and activation; its gradients in two, with one before them where there is a bias or an
// activation, which takes dy back through the activation and sums it by column in the same pass.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { type Kernel, launch } from "../launch.ts";
import { WEBGPU } from "../register-backend.ts";
import { GELU_FUNCTIONS, type GeluKind, gelu, geluGradient } from "./gelu.ts";
import { isTiled, multiply, type Product, tiledMatmul } from "./matmul.ts";
import { type Activation, endingOf } from "./matmul-epilogue.ts";

export interface Linear {
  /** [rows, inputs] */
  readonly x: tf.TensorInfo;
  /** [inputs, outputs], or [outputs, inputs] where `outIn`. */
  readonly weight: tf.TensorInfo;
  readonly outIn: boolean;
  readonly activation: Activation;
}

/** y [rows, outputs] and, with GELU, what it was given. */
export function linear(backend: WebGPUBackend, { x, weight, outIn, activation }: Linear, bias: tf.TensorInfo | undefined): tf.TensorInfo[] {
  const product: Product = { a: x, b: weight, transposeA: false, transposeB: outIn };
  if (isTiled(product)) return tiledMatmul(backend, product, { bias, activation });
  const kind = endingOf(activation);
  const y = stockLinear(backend, product, bias, activation === "relu");
  return kind === "linear" ? [y] : [...gelu(backend, y, kind), y];
}

/** By TensorFlow.js's own kernels, of which one is made for products with few results. */
function stockLinear(backend: WebGPUBackend, product: Product, bias: tf.TensorInfo | undefined, relu: boolean): tf.TensorInfo {
  if (bias === undefined && !relu) return multiply(backend, product);
  const { a, b, transposeA, transposeB } = product;
  const { kernelFunc } = tf.getKernel(tf._FusedMatMul, WEBGPU);
  const inputs = { a, b, ...(bias === undefined ? {} : { bias }) };
  const attrs = { transposeA, transposeB, activation: relu ? "relu" : "linear", leakyreluAlpha: 0 };
  return kernelFunc({ inputs, attrs, backend }) as tf.TensorInfo;
}

export interface LinearGradient extends Linear {
  readonly dy: tf.TensorInfo;
  /** With ReLU the layer's result, with GELU its argument. */
  readonly seen: tf.TensorInfo | undefined;
  readonly hasBias: boolean;
  /** `x` is data: its gradient is not computed. */
  readonly inputIsData: boolean;
}

/** Gradients of x (unless it is data), of the weight and of the bias (where there is one). */
export function linearGradient(backend: WebGPUBackend, given: LinearGradient): tf.TensorInfo[] {
  const { dy, x, weight, outIn, activation, seen, hasBias, inputIsData } = given;
  const { dz, dBias } = throughActivation(backend, dy, seen, activation, hasBias);
  const dx = inputIsData ? [] : [multiply(backend, { a: dz, b: weight, transposeA: false, transposeB: !outIn })];
  const dWeight = outIn
    ? multiply(backend, { a: dz, b: x, transposeA: true, transposeB: false })
    : multiply(backend, { a: x, b: dz, transposeA: true, transposeB: false });
  if (dz !== dy) backend.disposeData(dz.dataId as object);
  return [...dx, dWeight, ...(dBias === null ? [] : [dBias])];
}

function throughActivation(
  backend: WebGPUBackend,
  dy: tf.TensorInfo,
  seen: tf.TensorInfo | undefined,
  activation: Activation,
  hasBias: boolean,
): { readonly dz: tf.TensorInfo; readonly dBias: tf.TensorInfo | null } {
  const ending = endingOf(activation);
  if (activation === "none" && !hasBias) return { dz: dy, dBias: null };
  if (ending !== "linear" && !hasBias) return { dz: geluGradient(backend, dy, given(seen), ending)[0] as tf.TensorInfo, dBias: null };
  const [rows, columns] = dy.shape as [number, number];
  const slope = activation === "none" ? "none" : activation === "relu" ? "relu" : (ending as GeluKind);
  const results = launch(backend, {
    kernel: columnSums(slope),
    inputs: slope === "none" ? [dy] : [dy, given(seen)],
    outputs: slope === "none" ? [[columns]] : [[columns], dy.shape],
    uniforms: [rows, columns],
    workgroups: [Math.ceil(columns / COLUMNS), 1, 1],
  });
  const [dBias, dz = dy] = results as [tf.TensorInfo, tf.TensorInfo?];
  if (hasBias) return { dz, dBias };
  backend.disposeData(dBias.dataId as object);
  return { dz, dBias: null };
}

function given(seen: tf.TensorInfo | undefined): tf.TensorInfo {
  if (seen === undefined) throw new Error("The gradient of an activation needs what the layer saw");
  return seen;
}

const COLUMNS = 16;
const LANES = 8;
type Slope = "none" | "relu" | GeluKind;

const slopeText = (slope: Slope): string => {
  switch (slope) {
    case "none":
      return "";
    case "relu":
      return "fn slope(x: f32) -> f32 { return select(0.0, 1.0, x > 0.0); }";
    case "exact":
    case "tanh":
      return GELU_FUNCTIONS[slope];
    default:
      throw slope satisfies never;
  }
};

/** Each workgroup takes 16 columns, its 8 lanes every eighth row. */
const columnSums = (slope: Slope): Kernel => ({
  name: `linearColumnSums ${slope}`,
  outputs: { sums: "f32", ...(slope === "none" ? {} : { dz: "f32" as const }) },
  inputs: { dy: "f32", ...(slope === "none" ? {} : { seen: "f32" as const }) },
  uniforms: { rows: "u32", columns: "u32" },
  body: `${slopeText(slope)}
var<workgroup> partial: array<f32, ${COLUMNS * LANES}>;
@compute @workgroup_size(${COLUMNS}, ${LANES})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let column = group.x * ${COLUMNS}u + local.x;
  var sum = 0.0;
  if (column < uniforms.columns) {
    for (var row = local.y; row < uniforms.rows; row = row + ${LANES}u) {
      let at = row * uniforms.columns + column;
      ${slope === "none" ? "sum = sum + dy[at];" : "let value = dy[at] * slope(seen[at]);\n      dz[at] = value;\n      sum = sum + value;"}
    }
  }
  partial[local.y * ${COLUMNS}u + local.x] = sum;
  workgroupBarrier();
  if (local.y == 0u && column < uniforms.columns) {
    for (var lane = 1u; lane < ${LANES}u; lane = lane + 1u) { sum = sum + partial[lane * ${COLUMNS}u + local.x]; }
    sums[column] = sum;
  }
}`,
});
