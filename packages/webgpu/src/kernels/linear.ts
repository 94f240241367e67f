// A dense layer in one dispatch: product, bias and activation; its gradients in two, with one before them where there is a bias or an
// activation, which takes dy back through the activation and sums it by column in the same pass.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { type Kernel, launch } from "../launch.ts";
import { WEBGPU } from "../register-backend.ts";
import { usesHalf } from "../variants.ts";
import { type GeluKind, gelu, geluFunctions, geluGradient } from "./gelu.ts";
import { asPacked, GRADIENT_SCALE, HALF_OF, halfShape, packHalf } from "./half.ts";
import { elementOf, isTiled, multiply, type Product, tiledMatmul } from "./matmul.ts";
import { type Activation, geluOf } from "./matmul-epilogue.ts";

export interface Linear {
  /** [rows, inputs] */
  readonly x: tf.TensorInfo;
  /** [inputs, outputs], or [outputs, inputs] where `outIn`. */
  readonly weight: tf.TensorInfo;
  readonly outIn: boolean;
  readonly activation: Activation;
}

/** y [rows, outputs]; with GELU, what it was given; in half precision, x and weight as they were packed: the gradient wants those. */
export function linear(backend: WebGPUBackend, { x, weight, outIn, activation }: Linear, bias: tf.TensorInfo | undefined): tf.TensorInfo[] {
  const product: Product = { a: x, b: weight, transposeA: false, transposeB: outIn };
  if (isTiled(product)) {
    if (!usesHalf(backend) || elementOf(backend, x) === "i32") return tiledMatmul(backend, product, { bias, activation });
    const factors = packHalf(backend, [x, weight]) as [tf.TensorInfo, tf.TensorInfo];
    const [a, b] = [asPacked(factors[0], x.shape), asPacked(factors[1], weight.shape)];
    return [...tiledMatmul(backend, { ...product, a, b, packed: { scale: 1 } }, { bias, activation }), ...factors];
  }
  const kind = geluOf(activation);
  const y = stockLinear(backend, product, bias, activation === "relu");
  return kind === null ? [y] : [...gelu(backend, y, kind), y];
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
  /** Where `x` and `weight` are packed, how many inputs there are: their shapes do not say. Otherwise 0. */
  readonly packedInputs: number;
}

/** Gradients of x (unless it is data), of the weight and of the bias (where there is one). */
export function linearGradient(backend: WebGPUBackend, given: LinearGradient): tf.TensorInfo[] {
  const { dy, x, weight, outIn, activation, seen, hasBias, inputIsData, packedInputs } = given;
  if (packedInputs > 0) return packedGradient(backend, given);
  const { dz, dBias } = throughActivation(backend, dy, seen, activation, hasBias);
  const dx = inputIsData ? [] : [multiply(backend, { a: dz, b: weight, transposeA: false, transposeB: !outIn })];
  const dWeight = outIn
    ? multiply(backend, { a: dz, b: x, transposeA: true, transposeB: false })
    : multiply(backend, { a: x, b: dz, transposeA: true, transposeB: false });
  if (dz !== dy) backend.disposeData(dz.dataId as object);
  return [...dx, dWeight, ...(dBias === null ? [] : [dBias])];
}

/** The same of packed factors: dz is packed as it is made. */
function packedGradient(backend: WebGPUBackend, given: LinearGradient): tf.TensorInfo[] {
  const { dy, outIn, activation, seen, hasBias, inputIsData, packedInputs: inputs } = given;
  const [rows, outputs] = dy.shape as [number, number];
  const x = asPacked(given.x, [rows, inputs]);
  const weight = asPacked(given.weight, outIn ? [outputs, inputs] : [inputs, outputs]);
  const { packedDz, dBias } = packedThroughActivation(backend, dy, seen, activation, hasBias);
  const dz = asPacked(packedDz, dy.shape);
  const product = (a: tf.TensorInfo, b: tf.TensorInfo, transposeA: boolean, transposeB: boolean): tf.TensorInfo =>
    tiledMatmul(backend, { a, b, transposeA, transposeB, packed: { scale: 1 / GRADIENT_SCALE } })[0] as tf.TensorInfo;
  const dx = inputIsData ? [] : [product(dz, weight, false, !outIn)];
  const dWeight = outIn ? product(dz, x, true, false) : product(x, dz, true, false);
  backend.disposeData(packedDz.dataId as object);
  return [...dx, dWeight, ...(dBias === null ? [] : [dBias])];
}

function packedThroughActivation(
  backend: WebGPUBackend,
  dy: tf.TensorInfo,
  seen: tf.TensorInfo | undefined,
  activation: Activation,
  hasBias: boolean,
): { readonly packedDz: tf.TensorInfo; readonly dBias: tf.TensorInfo | null } {
  if (activation === "none" && !hasBias) return { packedDz: packHalf(backend, [dy], GRADIENT_SCALE)[0] as tf.TensorInfo, dBias: null };
  const [rows, columns] = dy.shape as [number, number];
  const slope = slopeOf(activation);
  const [dBias, packedDz] = launch(backend, {
    kernel: columnSums(slope, true),
    inputs: slope === "none" ? [dy] : [dy, given(seen)],
    outputs: [[columns], halfShape(rows * columns)],
    uniforms: [rows, columns],
    workgroups: [Math.ceil(columns / COLUMNS), 1, 1],
  }) as [tf.TensorInfo, tf.TensorInfo];
  if (hasBias) return { packedDz, dBias };
  backend.disposeData(dBias.dataId as object);
  return { packedDz, dBias: null };
}

function throughActivation(
  backend: WebGPUBackend,
  dy: tf.TensorInfo,
  seen: tf.TensorInfo | undefined,
  activation: Activation,
  hasBias: boolean,
): { readonly dz: tf.TensorInfo; readonly dBias: tf.TensorInfo | null } {
  const kind = geluOf(activation);
  if (activation === "none" && !hasBias) return { dz: dy, dBias: null };
  if (kind !== null && !hasBias) return { dz: geluGradient(backend, dy, given(seen), kind)[0] as tf.TensorInfo, dBias: null };
  const [rows, columns] = dy.shape as [number, number];
  const slope = slopeOf(activation);
  const results = launch(backend, {
    kernel: columnSums(slope, false),
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

function slopeOf(activation: Activation): Slope {
  if (activation === "none" || activation === "relu") return activation;
  return activation === "gelu-exact" ? "exact" : "tanh";
}

const slopeText = (slope: Slope): string => {
  switch (slope) {
    case "none":
      return "";
    case "relu":
      return "fn slope(x: f32) -> f32 { return select(0.0, 1.0, x > 0.0); }";
    case "exact":
    case "tanh":
      return geluFunctions(slope);
    default:
      throw slope satisfies never;
  }
};

/** Each workgroup takes 16 columns, its 8 lanes every eighth row. `packed`: dz is stored in half precision, scaled, whatever the slope. */
const columnSums = (slope: Slope, packed: boolean): Kernel => {
  const dz = packed ? `half(value * ${GRADIENT_SCALE}.0)` : "value";
  const stored = packed || slope !== "none";
  return {
    name: `linearColumnSums ${slope}${packed ? " f16" : ""}`,
    ...(packed ? { enables: ["f16"] } : {}),
    outputs: { sums: "f32", ...(stored ? { dz: packed ? ("f16" as const) : ("f32" as const) } : {}) },
    inputs: { dy: "f32", ...(slope === "none" ? {} : { seen: "f32" as const }) },
    uniforms: { rows: "u32", columns: "u32" },
    body: `${slopeText(slope)}${packed ? HALF_OF : ""}
var<workgroup> partial: array<f32, ${COLUMNS * LANES}>;
@compute @workgroup_size(${COLUMNS}, ${LANES})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let column = group.x * ${COLUMNS}u + local.x;
  var sum = 0.0;
  if (column < uniforms.columns) {
    for (var row = local.y; row < uniforms.rows; row = row + ${LANES}u) {
      let at = row * uniforms.columns + column;
      let value = dy[at]${slope === "none" ? "" : " * slope(seen[at])"};${stored ? `\n      dz[at] = ${dz};` : ""}
      sum = sum + value;
    }
  }
  partial[local.y * ${COLUMNS}u + local.x] = sum;
  workgroupBarrier();
  if (local.y == 0u && column < uniforms.columns) {
    for (var lane = 1u; lane < ${LANES}u; lane = lane + 1u) { sum = sum + partial[lane * ${COLUMNS}u + local.x]; }
    sums[column] = sum;
  }
}`,
  };
};
