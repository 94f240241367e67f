// The matrix product of TensorFlow.js on WebGPU, replaced by the register-tiled one unless a side of the result is too small.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { launch } from "../launch.ts";
import { WEBGPU } from "../register-backend.ts";
import { matmulKernel, TILE } from "./matmul-shader.ts";

export const MATMUL = "BatchMatMul";
/** A side of the result below which a tile would be all but empty. */
const LEAST_EXTENT = 8;
/** Where a tile is filled, or so little is to be done that another pipeline would cost more than it saves. */
const FULL_EXTENT = TILE;
const SHORT_INNER = 256;
/** Results so small that TensorFlow.js gives each value a workgroup of its own: a single tile is less work. */
const TINY_RESULT = 128;

interface Product {
  /** A is stored [inner, rows] instead of [rows, inner]. */
  readonly transposeA: boolean;
  /** B is stored [columns, inner] instead of [inner, columns]. */
  readonly transposeB: boolean;
  readonly a: tf.TensorInfo;
  readonly b: tf.TensorInfo;
}

interface Extents {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
}

function extentsOf({ a, b, transposeA, transposeB }: Product): Extents {
  const [a1, a2] = a.shape.slice(-2) as [number, number];
  const [b1, b2] = b.shape.slice(-2) as [number, number];
  const batch = a.shape.slice(0, -2).reduce((product, extent) => product * extent, 1);
  return { batch, rows: transposeA ? a2 : a1, inner: transposeA ? a1 : a2, columns: transposeB ? b1 : b2 };
}

/** Batches of equal shape, f32: [..., rows, inner] times [..., inner, columns], each stored as the layout says. */
export function tiledMatmul(backend: WebGPUBackend, product: Product): tf.TensorInfo {
  const { a, b, transposeA, transposeB } = product;
  const { batch, rows, columns, inner } = extentsOf(product);
  const [rowA, innerA] = transposeA ? [1, rows] : [inner, 1];
  const [innerB, columnB] = transposeB ? [1, inner] : [columns, 1];
  const element = ({ dataId }: tf.TensorInfo) => (backend.tensorMap.get(dataId as object).dtype === "float32" ? "f32" : "i32");
  return launch(backend, {
    kernel: matmulKernel(element(a), element(b)),
    inputs: [a, b],
    outputs: [[...a.shape.slice(0, -2), rows, columns]],
    uniforms: [rows, columns, inner, rowA, innerA, innerB, columnB],
    workgroups: [Math.ceil(columns / TILE), Math.ceil(rows / TILE), batch],
  })[0] as tf.TensorInfo;
}

function suits(product: Product): boolean {
  const { a, b } = product;
  const sameBatch = tf.util.arraysEqual(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const { batch, rows, columns, inner } = extentsOf(product);
  if (!sameBatch || a.dtype !== "float32" || b.dtype !== "float32") return false;
  const least = Math.min(rows, columns);
  if (inner > SHORT_INNER) return least >= FULL_EXTENT;
  return least >= LEAST_EXTENT || batch * rows * columns <= TINY_RESULT;
}

let stock: tf.KernelConfig | null = null;

/** Puts the tiled product in the place of TensorFlow.js's, for every device that is registered from now on. */
export function installMatmul(): void {
  if (stock !== null) return;
  const replaced = tf.getKernel(MATMUL, WEBGPU);
  tf.unregisterKernel(MATMUL, WEBGPU);
  tf.registerKernel({
    ...replaced,
    kernelFunc: (params) => {
      const product = { ...params.inputs, ...params.attrs } as unknown as Product;
      return suits(product) ? tiledMatmul(params.backend as WebGPUBackend, product) : replaced.kernelFunc(params);
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
