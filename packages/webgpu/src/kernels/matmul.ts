// The matrix product of TensorFlow.js on WebGPU, replaced by the register-tiled ones unless a side of the result is too small; with a bias
// and an activation where they are asked for.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { launch } from "../launch.ts";
import { WEBGPU } from "../register-backend.ts";
import { choicesOf, type Shape } from "./matmul-choices.ts";
import { type Activation, endingOf, flagsOf } from "./matmul-epilogue.ts";
import { matmulKernel, TILE } from "./matmul-shader.ts";
import { type Layout, type Tiling, tileOf, wideMatmulKernel } from "./matmul-wide.ts";

export const MATMUL = "BatchMatMul";
/** A side of the result below which a tile would be all but empty. */
const LEAST_EXTENT = 8;
/** Where a tile is filled, or so little is to be done that another pipeline would cost more than it saves. */
const FULL_EXTENT = TILE;
const SHORT_INNER = 256;
/** Results so small that TensorFlow.js gives each value a workgroup of its own: a single tile is less work. */
const TINY_RESULT = 128;

export interface Product extends Layout {
  readonly a: tf.TensorInfo;
  readonly b: tf.TensorInfo;
  /** Both are packed, see half.ts, under the shapes that they had; the product is multiplied by `scale`. Absent: f32. */
  readonly packed?: { readonly scale: number };
}
/** What is done to the product before it is stored. */
export interface Epilogue {
  /** [columns] */
  readonly bias?: tf.TensorInfo | undefined;
  readonly activation: Activation;
}
const PLAIN: Epilogue = { activation: "none" };

function shapeOf({ a, b, transposeA, transposeB, packed }: Product): Shape {
  const [a1, a2] = a.shape.slice(-2) as [number, number];
  const [b1, b2] = b.shape.slice(-2) as [number, number];
  const batch = a.shape.slice(0, -2).reduce((product, extent) => product * extent, 1);
  return {
    batch,
    rows: transposeA ? a2 : a1,
    inner: transposeA ? a1 : a2,
    columns: transposeB ? b1 : b2,
    transposeA,
    transposeB,
    packed: packed !== undefined,
  };
}

/** Batches of equal shape: [..., rows, inner] times [..., inner, columns], each stored as the layout says. With GELU, its argument too. */
export function tiledMatmul(
  backend: WebGPUBackend,
  product: Product,
  epilogue: Epilogue = PLAIN,
  tiling: Tiling | null = tilingFor(backend, product),
): tf.TensorInfo[] {
  const { a, b, transposeA, transposeB, packed } = product;
  const { batch, rows, columns, inner } = shapeOf(product);
  const scale = packed === undefined ? [] : [packed.scale];
  const ending = endingOf(epilogue.activation);
  const shape = [...a.shape.slice(0, -2), rows, columns];
  const flags = flagsOf(epilogue.bias !== undefined, epilogue.activation);
  const [tileRows, tileColumns] = tiling === null ? [TILE, TILE] : tileOf(tiling);
  const common = {
    // Where there is no bias something must be bound in its place.
    inputs: [a, b, epilogue.bias ?? b],
    outputs: ending === "linear" ? [shape] : [shape, shape],
    workgroups: [Math.ceil(columns / tileColumns), Math.ceil(rows / tileRows), batch] as const,
  };
  if (tiling !== null)
    return launch(backend, {
      ...common,
      kernel: wideMatmulKernel(tiling, product, ending),
      uniforms: [rows, columns, inner, flags, ...scale],
    });
  const [rowA, innerA] = transposeA ? [1, rows] : [inner, 1];
  const [innerB, columnB] = transposeB ? [1, inner] : [columns, 1];
  return launch(backend, {
    ...common,
    kernel: packed ? matmulKernel("f16", "f16", ending) : matmulKernel(elementOf(backend, a), elementOf(backend, b), ending),
    uniforms: [rows, columns, inner, rowA, innerA, innerB, columnB, flags, ...scale],
  });
}

/** How the values lie in the buffer, whatever the tensor is called; of one that is packed it says f32. */
export const elementOf = (backend: WebGPUBackend, { dataId }: tf.TensorInfo): "f32" | "i32" =>
  backend.tensorMap.get(dataId as object).dtype === "float32" ? "f32" : "i32";

function tilingFor(backend: WebGPUBackend, product: Product): Tiling | null {
  if (elementOf(backend, product.a) === "i32" || elementOf(backend, product.b) === "i32") return null;
  return choicesOf(backend).tilingFor(shapeOf(product));
}

function suits(product: Product): boolean {
  const { a, b } = product;
  const sameBatch = tf.util.arraysEqual(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const { batch, rows, columns, inner } = shapeOf(product);
  if (!sameBatch || a.dtype !== "float32" || b.dtype !== "float32") return false;
  const least = Math.min(rows, columns);
  if (inner > SHORT_INNER) return least >= FULL_EXTENT;
  return least >= LEAST_EXTENT || batch * rows * columns <= TINY_RESULT;
}

let stock: tf.KernelConfig | null = null;

/** Whether the product is computed by a kernel of ours. */
export const isTiled = (product: Product): boolean => stock !== null && suits(product);

/** The product by whichever kernel is registered. */
export function multiply(backend: WebGPUBackend, { a, b, transposeA, transposeB }: Product): tf.TensorInfo {
  const { kernelFunc } = tf.getKernel(MATMUL, WEBGPU);
  return kernelFunc({ inputs: { a, b }, attrs: { transposeA, transposeB }, backend }) as tf.TensorInfo;
}

/** Puts the tiled product in the place of TensorFlow.js's, for every device that is registered from now on. */
export function installMatmul(): void {
  if (stock !== null) return;
  const replaced = tf.getKernel(MATMUL, WEBGPU);
  tf.unregisterKernel(MATMUL, WEBGPU);
  tf.registerKernel({
    ...replaced,
    kernelFunc: (params) => {
      const product = { ...params.inputs, ...params.attrs } as unknown as Product;
      return suits(product) ? (tiledMatmul(params.backend as WebGPUBackend, product)[0] as tf.TensorInfo) : replaced.kernelFunc(params);
    },
  });
  stock = replaced;
}

/** Puts TensorFlow.js's own back. */
export function removeMatmul(): void {
  if (stock === null) return;
  tf.unregisterKernel(MATMUL, WEBGPU);
  tf.registerKernel(stock);
  stock = null;
}
