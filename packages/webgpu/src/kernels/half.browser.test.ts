// Products of factors in half precision against f64, within the bounds of their storage and of sums in f32. On a device without `shader-f16`
// the same calls compute in f32, and are held to its bounds. A missing adapter fails.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { f16Nearest, f16ToNumber, randomStream } from "@weft/tensors";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeLinear, HALF_FACTORS } from "../../test/linear-suite.ts";
import { openWebGpuSubject } from "../../test/webgpu-subject.ts";
import { canHalf, choicesOf, FlatReadBack, forgetfulMemory, inPrecision, openDevice, registerWebGpuBackend, tuneMatmul } from "../index.ts";
import { unregisterWebGpuBackend } from "../register-backend.ts";
import { asPacked, packHalf } from "./half.ts";
import { tiledMatmul } from "./matmul.ts";
import { HALF_TILINGS, type Tiling } from "./matmul-wide.ts";

/** Unit roundoff of f32. */
const UNIT = 2 ** -24;
const LAYOUTS = [
  { transposeA: false, transposeB: false },
  { transposeA: false, transposeB: true },
  { transposeA: true, transposeB: false },
];

const half = (await navigator.gpu.requestAdapter({ powerPreference: "high-performance" }))?.features.has("shader-f16") === true;

describeLinear(
  "the dense layer on WebGPU, half precision asked for",
  () => openWebGpuSubject([], "f16"),
  () => {
    it(`is computed in ${half ? "half precision" : "f32, bit for bit, on this device without shader-f16"}`, async () => {
      const stream = randomStream(3, 1);
      const normals = (rows: number, columns: number) =>
        tf.tensor2d(
          Float32Array.from({ length: rows * columns }, () => stream.normal()),
          [rows, columns],
        );
      const [x, weight] = [normals(20, 24), normals(24, 16)];
      const run = (): tf.Tensor[] =>
        tf.engine().runKernel("WeftLinear", { x, weight }, { outIn: false, activation: "none" }) as unknown as tf.Tensor[];
      const [asked, plain] = [inPrecision("f16", run), run()];
      expect(asked).toHaveLength(half ? 3 : 1);
      const [y, full] = [await (asked[0] as tf.Tensor).data(), await (plain[0] as tf.Tensor).data()];
      if (half) expect(y).not.toEqual(full);
      else expect(y).toEqual(full);
    });
  },
);

const whereItIs = half ? describe : () => undefined;

// Some drivers take long to compile so many shaders.
whereItIs("products of packed factors", { timeout: 900_000 }, () => {
  let backend: WebGPUBackend;
  let readBack: FlatReadBack;
  beforeAll(async () => {
    const opened = await openDevice({ gpu: navigator.gpu, allowSoftware: true });
    if (!opened.ok) throw new Error(`${opened.message}: see the flags in vite.config.ts`);
    backend = await registerWebGpuBackend(opened.value);
    readBack = new FlatReadBack(backend);
    expect(canHalf(backend)).toBe(true);
  });
  afterAll(() => {
    readBack.dispose();
    unregisterWebGpuBackend(backend);
  });
  const info = (tensor: tf.TensorInfo | undefined): tf.Tensor => tf.engine().makeTensorFromTensorInfo(tensor as tf.TensorInfo);

  it("packs to the nearest f16 or its neighbour, cuts what is too large, and passes on what is not finite", async () => {
    const values = Float32Array.of(
      0,
      1,
      -2.5,
      1 / 3,
      65_504,
      70_000,
      -1e30,
      2 ** -14,
      6.2e-5,
      1000.4,
      3e-3,
      Number.POSITIVE_INFINITY,
      Number.NaN,
    );
    const packed = info(packHalf(backend, [tf.tensor1d(values)])[0]);
    const words = new Uint16Array((await readBack.read([packed])).buffer).subarray(0, values.length);
    for (const [at, value] of values.entries()) {
      const nearest = f16Nearest(Math.min(65_504, Math.max(-65_504, value)));
      if (Number.isFinite(value)) expect(Math.abs((words[at] as number) - nearest), `${value}`).toBeLessThanOrEqual(1);
      else expect(Number.isFinite(f16ToNumber(words[at] as number)), `${value}`).toBe(false);
    }
  });

  /** Largest error in units of its bound, and what the product is scaled by. */
  async function worst(
    extents: {
      readonly rows: number;
      readonly columns: number;
      readonly inner: number;
      readonly transposeA: boolean;
      readonly transposeB: boolean;
    },
    tiling: Tiling | null,
  ): Promise<number> {
    const { rows, columns, inner, transposeA, transposeB } = extents;
    const stream = randomStream(rows * 7 + columns * 3 + inner, 5);
    const fill = (size: number) => Float32Array.from({ length: size }, () => stream.normal());
    const [valuesA, valuesB, biases] = [fill(rows * inner), fill(inner * columns), fill(columns)];
    const a = tf.tensor2d(valuesA, transposeA ? [inner, rows] : [rows, inner]);
    const b = tf.tensor2d(valuesB, transposeB ? [columns, inner] : [inner, columns]);
    const bias = tf.tensor1d(biases);
    const packed = packHalf(backend, [a, b]) as [tf.TensorInfo, tf.TensorInfo];
    const product = { a: asPacked(packed[0], a.shape), b: asPacked(packed[1], b.shape), transposeA, transposeB, packed: { scale: 0.25 } };
    const y = info(tiledMatmul(backend, product, { bias, activation: "none" }, tiling)[0]);
    const actual = await readBack.read([y]);
    let largest = 0;
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        let [sum, magnitude] = [biases[column] as number, Math.abs(biases[column] as number)];
        for (let k = 0; k < inner; k++) {
          const left = valuesA[transposeA ? k * rows + row : row * inner + k] as number;
          const right = valuesB[transposeB ? column * inner + k : k * columns + column] as number;
          sum += 0.25 * left * right;
          // With what a factor below the least normal f16 may lose, which is flushed to 0 by some devices.
          magnitude += 0.25 * (Math.abs(left * right) + 2 ** -4 * (Math.abs(left) + Math.abs(right)));
        }
        const error = Math.abs((actual[row * columns + column] as number) - sum);
        const bound = ((inner + 3) * UNIT + HALF_FACTORS) * magnitude;
        largest = Math.max(largest, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error / bound);
      }
    tf.dispose([a, b, bias, y]);
    for (const { dataId } of packed) backend.disposeData(dataId as object);
    return largest;
  }

  it("stay within their bound in every tiling and layout, and for extents that no tile divides", async () => {
    for (const layout of LAYOUTS) {
      for (const [rows, columns, inner] of [
        [4, 8, 4],
        [68, 132, 20],
      ] as const)
        for (const tiling of HALF_TILINGS) expect(await worst({ rows, columns, inner, ...layout }, tiling), tiling.name).toBeLessThan(1);
      for (const [rows, columns, inner] of [
        [1, 1, 1],
        [65, 63, 17],
        [7, 130, 33],
      ] as const)
        expect(await worst({ rows, columns, inner, ...layout }, null), `${rows}x${columns}x${inner}`).toBeLessThan(1);
    }
  });

  it("are measured among their own tilings, none of which the device gets wrong", async () => {
    const shape = { batch: 1, rows: 64, columns: 32, inner: 48, transposeA: false, transposeB: true, packed: true };
    choicesOf(backend).tilingFor(shape);
    const options = { memory: forgetfulMemory(), adapter: "test", budgetMs: 60_000, now: () => performance.now() };
    expect(await tuneMatmul(backend, options)).toEqual([]);
    const chosen = choicesOf(backend).tilingFor(shape);
    expect(chosen === null || chosen.factors === "f16").toBe(true);
  });
});
