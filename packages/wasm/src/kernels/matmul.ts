// Matrix products, and the dense layer made of them: bias and ReLU are added where the product is stored.
import type * as tf from "@tensorflow/tfjs-core";
import type { WasmBackend } from "../backend.ts";
import { type Inputs, type Launcher, matrixOf, sizeOf, take } from "./launchers.ts";

/** Switches of assembly/matmul.ts. */
const BIAS = 2;
const RELU = 4;

interface Product {
  readonly a: tf.TensorInfo;
  readonly b: tf.TensorInfo;
  readonly turnA: boolean;
  readonly turnB: boolean;
  readonly bias?: tf.TensorInfo | undefined;
  readonly relu?: boolean;
}

/** op(a) op(b) over equal batch dimensions, or with one of them alone serving all. */
export function multiply(backend: WasmBackend, { a, b, turnA, turnB, bias, relu = false }: Product): tf.TensorInfo {
  const [rowsA, columnsA] = a.shape.slice(-2) as [number, number];
  const [rowsB, columnsB] = b.shape.slice(-2) as [number, number];
  const [m, k] = turnA ? [columnsA, rowsA] : [rowsA, columnsA];
  const [n, inner] = turnB ? [rowsB, columnsB] : [columnsB, rowsB];
  const [batchA, batchB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const [countA, countB] = [sizeOf(batchA), sizeOf(batchB)];
  if (k !== inner || (countA !== countB && countA !== 1 && countB !== 1))
    throw new Error(`No product of [${a.shape.join(", ")}] and [${b.shape.join(", ")}]`);
  const y = backend.output([...(countA >= countB ? batchA : batchB), m, n]);
  backend.call(
    "matmul",
    backend.addressOf(a),
    backend.addressOf(b),
    backend.addressOf(y),
    Math.max(countA, countB),
    countA === 1 ? 0 : m * k,
    countB === 1 ? 0 : k * n,
    m,
    n,
    k,
    turnA,
    turnB,
    bias === undefined ? 0 : backend.addressOf(bias),
    (bias === undefined ? 0 : BIAS) | (relu ? RELU : 0),
    backend.matmulScratch,
  );
  return y;
}

type Activation = "none" | "relu" | "gelu-exact" | "gelu-tanh";

const geluKind = (activation: Activation): "exact" | "tanh" | null =>
  activation === "gelu-exact" ? "exact" : activation === "gelu-tanh" ? "tanh" : null;

/** x [rows, inputs], weight [inputs, outputs] (or [outputs, inputs] where `outIn`): y and, with GELU, what it was given. */
const linear: Launcher = (backend, inputs, attributes) => {
  const { x, weight } = take(inputs, "x", "weight");
  const { outIn, activation } = attributes as { outIn: boolean; activation: Activation };
  const product = { a: x, b: weight, turnA: false, turnB: outIn, bias: inputs.bias, relu: activation === "relu" };
  const y = multiply(backend, product);
  const kind = geluKind(activation);
  return kind === null ? [y] : [gelu(backend, y, kind), y];
};

/** Gradients of x (unless it is data), of the weight and of the bias (where there is one). `seen` is the layer's result with ReLU and what
 *  the activation was given with GELU. */
const linearGradient: Launcher = (backend, inputs, attributes) => {
  const { dy, x, weight } = take(inputs, "dy", "x", "weight");
  const { outIn, activation, hasBias, inputIsData } = attributes as {
    outIn: boolean;
    activation: Activation;
    hasBias: boolean;
    inputIsData: boolean;
  };
  const dz = throughActivation(backend, inputs, dy, activation);
  const dx = inputIsData ? [] : [multiply(backend, { a: dz, b: weight, turnA: false, turnB: !outIn })];
  const dWeight = multiply(backend, outIn ? { a: dz, b: x, turnA: true, turnB: false } : { a: x, b: dz, turnA: true, turnB: false });
  const dBias = hasBias ? [columnSums(backend, dz)] : [];
  if (dz !== dy) backend.disposeData(dz.dataId);
  return [...dx, dWeight, ...dBias];
};

function throughActivation(backend: WasmBackend, inputs: Inputs, dy: tf.TensorInfo, activation: Activation): tf.TensorInfo {
  if (activation === "none") return dy;
  const { seen } = take(inputs, "seen");
  const kind = geluKind(activation);
  return kind === null ? reluGradient(backend, dy, seen) : geluGradient(backend, dy, seen, kind);
}

function columnSums(backend: WasmBackend, x: tf.TensorInfo): tf.TensorInfo {
  const [rows, columns] = matrixOf(x);
  const y = backend.output([columns]);
  backend.call("columnSums", backend.addressOf(x), backend.addressOf(y), rows, columns);
  return y;
}

export function reluGradient(backend: WasmBackend, dy: tf.TensorInfo, y: tf.TensorInfo): tf.TensorInfo {
  const dx = backend.output(dy.shape);
  backend.call("reluGradient", backend.addressOf(dy), backend.addressOf(y), backend.addressOf(dx), sizeOf(dy.shape));
  return dx;
}

export function gelu(backend: WasmBackend, x: tf.TensorInfo, kind: "exact" | "tanh"): tf.TensorInfo {
  const y = backend.output(x.shape);
  backend.call("gelu", kind === "exact", backend.addressOf(x), backend.addressOf(y), sizeOf(x.shape));
  return y;
}

export function geluGradient(backend: WasmBackend, dy: tf.TensorInfo, x: tf.TensorInfo, kind: "exact" | "tanh"): tf.TensorInfo {
  const dx = backend.output(x.shape);
  const addresses = [dy, x, dx].map((tensor) => backend.addressOf(tensor));
  backend.call("geluGradient", kind === "exact", ...addresses, sizeOf(x.shape));
  return dx;
}

export const PRODUCTS: Readonly<Record<string, Launcher>> = {
  BatchMatMul: (backend, inputs, { transposeA, transposeB }) =>
    multiply(backend, { ...take(inputs, "a", "b"), turnA: Boolean(transposeA), turnB: Boolean(transposeB) }),
  WeftLinear: linear,
  WeftLinearGradient: linearGradient,
  WeftGelu: (backend, inputs, { kind }) => [gelu(backend, take(inputs, "x").x, kind as "exact" | "tanh")],
  WeftGeluGradient: (backend, inputs, { kind }) => {
    const { dy, x } = take(inputs, "dy", "x");
    return [geluGradient(backend, dy, x, kind as "exact" | "tanh")];
  },
};
