// The matrix product of TensorFlow.js on WebGPU, replaced by the register-tiled one where both sides of the result are large enough.
import type { WebGPUBackend, WebGPUProgram } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { WEBGPU } from "../register-backend.ts";
import { type MatmulLayout, matmulShader, THREADS, TILE } from "./matmul-shader.ts";

const KERNEL = "BatchMatMul";
/** Below it a tile would be mostly empty, and the stock kernels for small results are better. */
const LEAST_EXTENT = TILE;

function program(batch: number, rows: number, columns: number, layout: MatmulLayout): WebGPUProgram {
  return {
    variableNames: ["A", "B"],
    uniforms: "rows : i32, columns : i32, inner : i32,",
    workgroupSize: [THREADS, THREADS, 1],
    outputShape: [batch, rows, columns],
    dispatchLayout: { x: [2], y: [1], z: [0] },
    dispatch: [Math.ceil(columns / TILE), Math.ceil(rows / TILE), batch],
    shaderKey: `weftMatmul_${layout.transposeA}_${layout.transposeB}`,
    getUserCode: () => matmulShader(layout),
  };
}

interface Product extends MatmulLayout {
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
  const flat = (info: tf.TensorInfo): tf.TensorInfo => ({ ...info, shape: [batch, ...info.shape.slice(-2)] });
  const uniforms = [rows, columns, inner].map((extent) => ({ type: "int32", data: [extent] }));
  const out = backend.runWebGPUProgram(program(batch, rows, columns, { transposeA, transposeB }), [flat(a), flat(b)], "float32", uniforms);
  return { ...out, shape: [...a.shape.slice(0, -2), rows, columns] };
}

function suits(product: Product): boolean {
  const { a, b } = product;
  const sameBatch = tf.util.arraysEqual(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const { rows, columns } = extentsOf(product);
  return sameBatch && a.dtype === "float32" && b.dtype === "float32" && Math.min(rows, columns) >= LEAST_EXTENT;
}

let installed = false;

/** Puts the tiled product in the place of TensorFlow.js's, for every device that is registered from now on. */
export function installMatmul(): void {
  if (installed) return;
  const stock = tf.getKernel(KERNEL, WEBGPU);
  tf.unregisterKernel(KERNEL, WEBGPU);
  tf.registerKernel({
    ...stock,
    kernelFunc: (params) => {
      const product = { ...params.inputs, ...params.attrs } as unknown as Product;
      return suits(product) ? tiledMatmul(params.backend as WebGPUBackend, product) : stock.kernelFunc(params);
    },
  });
  installed = true;
}
