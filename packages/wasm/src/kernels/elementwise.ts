// TensorFlow.js's own names: arithmetic on tensors of equal shapes or with a row, a column or a single value, sums, and changes of shape alone.
import * as tf from "@tensorflow/tfjs-core";
import { type Launcher, sizeOf, take } from "./launchers.ts";

/** Operations of assembly/elementwise.ts. */
const BINARY = { Add: 0, Sub: 1, Multiply: 2 } as const;
const UNARY = { Relu: 0, Step: 1, Sigmoid: 2, Tanh: 3 } as const;

interface Grid {
  readonly rows: number;
  readonly columns: number;
}
/** Bytes to the next value in a row, and to the next row. */
interface Steps {
  readonly step: 0 | 4;
  readonly stride: number;
}

/** The result as rows of `columns`, over which each operand moves evenly. Throws for operands that no such grid suits. */
function gridOf(a: readonly number[], b: readonly number[], result: readonly number[]): Grid & { readonly a: Steps; readonly b: Steps } {
  const size = sizeOf(result);
  // Long rows first: they are fast.
  for (const columns of [...result.map((_, axis) => sizeOf(result.slice(axis))), 1]) {
    const grid = { rows: size / columns, columns };
    const [stepsA, stepsB] = [stepsOf(a, result, grid), stepsOf(b, result, grid)];
    if (stepsA !== null && stepsB !== null) return { ...grid, a: stepsA, b: stepsB };
  }
  throw new Error(`No arithmetic between [${a.join(", ")}] and [${b.join(", ")}]`);
}

/** How an operand moves over the grid, or null. It is whole, a row for all rows, a value for each row, or one value. */
function stepsOf(operand: readonly number[], result: readonly number[], { rows, columns }: Grid): Steps | null {
  const size = sizeOf(operand);
  const padded = [...Array<number>(result.length - operand.length).fill(1), ...operand];
  const leading = padded.findIndex((extent) => extent !== 1);
  const matchesFrom = (axis: number): boolean => padded.slice(axis).every((extent, index) => extent === result[axis + index]);
  if (size === rows * columns) return { step: 4, stride: 4 * columns };
  if (size === 1) return { step: 0, stride: 0 };
  if (size === columns && leading >= 0 && matchesFrom(leading)) return { step: 4, stride: 0 };
  const trailing = padded.findLastIndex((extent) => extent !== 1) + 1;
  if (size === rows && padded.slice(0, trailing).every((extent, axis) => extent === result[axis])) return { step: 0, stride: 4 };
  return null;
}

const binary =
  (name: keyof typeof BINARY): Launcher =>
  (backend, inputs) => {
    const { a, b } = take(inputs, "a", "b");
    if (a.dtype !== "float32" || b.dtype !== "float32") throw new Error(`${name} of ${a.dtype} and ${b.dtype}`);
    const shape = tf.backend_util.assertAndGetBroadcastShape(a.shape, b.shape);
    const grid = gridOf(a.shape, b.shape, shape);
    const y = backend.output(shape);
    const [atA, atB, atY] = [a, b, y].map((tensor) => backend.addressOf(tensor)) as [number, number, number];
    const { rows, columns } = grid;
    backend.call("binary", BINARY[name], atA, grid.a.step, grid.a.stride, atB, grid.b.step, grid.b.stride, atY, rows, columns);
    return y;
  };

const unary =
  (name: keyof typeof UNARY): Launcher =>
  (backend, inputs) => {
    const { x } = take(inputs, "x");
    const y = backend.output(x.shape);
    backend.call("unary", UNARY[name], backend.addressOf(x), backend.addressOf(y), sizeOf(x.shape));
    return y;
  };

/** Over neighbouring axes. */
const sum: Launcher = (backend, inputs, { axis, keepDims }) => {
  const { x } = take(inputs, "x");
  const axes = tf.util.parseAxisParam(axis as number | number[], x.shape).sort((a, b) => a - b);
  const [first = 0, last = -1] = [axes[0], axes.at(-1)];
  if (last - first + 1 !== axes.length) throw new Error(`No sum over the axes ${axes.join(", ")}`);
  const kept = keepDims === true ? axes.map(() => 1) : [];
  const y = backend.output([...x.shape.slice(0, first), ...kept, ...x.shape.slice(last + 1)]);
  const [outer, middle, inner] = [x.shape.slice(0, first), x.shape.slice(first, last + 1), x.shape.slice(last + 1)].map(sizeOf);
  backend.call("sum", backend.addressOf(x), backend.addressOf(y), outer as number, middle as number, inner as number);
  return y;
};

export const ELEMENTWISE: Readonly<Record<string, Launcher>> = {
  Add: binary("Add"),
  Sub: binary("Sub"),
  Multiply: binary("Multiply"),
  Relu: unary("Relu"),
  Step: unary("Step"),
  Sigmoid: unary("Sigmoid"),
  Tanh: unary("Tanh"),
  Sum: sum,
  Identity: (backend, inputs) => backend.alias(take(inputs, "x").x, take(inputs, "x").x.shape),
  Reshape: (backend, inputs, { shape }) => {
    const { x } = take(inputs, "x");
    return backend.alias(x, tf.util.inferFromImplicitShape(shape as number[], sizeOf(x.shape)));
  },
};
