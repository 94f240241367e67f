// The tiled matrix product against f64 on the CPU: all layouts, odd, tiny and large extents, batches. A missing adapter fails.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { randomStream } from "@weft/tensors";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FlatReadBack, installMatmul, openDevice, registerWebGpuBackend, unregisterWebGpuBackend } from "../index.ts";
import { tiledMatmul } from "./matmul.ts";

interface Case {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}
const LAYOUTS = [false, true].flatMap((transposeA) => [false, true].map((transposeB) => ({ transposeA, transposeB })));
/** Unit roundoff of f32. */
const UNIT = 2 ** -24;

describe("the tiled matrix product", { timeout: 90_000 }, () => {
  let backend: WebGPUBackend;
  let readBack: FlatReadBack;
  beforeAll(async () => {
    const opened = await openDevice({ gpu: navigator.gpu, allowSoftware: true });
    if (!opened.ok) throw new Error(`${opened.message}: see the flags in vite.config.ts`);
    backend = await registerWebGpuBackend(opened.value);
    readBack = new FlatReadBack(backend);
    expect(tf.getBackend()).toBe("webgpu");
  });
  afterAll(() => {
    readBack.dispose();
    unregisterWebGpuBackend(backend);
  });

  /** Largest error of an element in units of its bound: gamma(inner) * sum |a||b| (Higham, Accuracy and Stability, 3.1). */
  async function worst({ batch, rows, columns, inner, transposeA, transposeB }: Case, direct: boolean): Promise<number> {
    const stream = randomStream(rows * 7 + columns * 3 + inner, batch);
    const fill = (size: number) => Float32Array.from({ length: size }, () => stream.normal());
    const [valuesA, valuesB] = [fill(batch * rows * inner), fill(batch * inner * columns)];
    const a = tf.tensor3d(valuesA, transposeA ? [batch, inner, rows] : [batch, rows, inner]);
    const b = tf.tensor3d(valuesB, transposeB ? [batch, columns, inner] : [batch, inner, columns]);
    const y = direct
      ? tf.engine().makeTensorFromTensorInfo(tiledMatmul(backend, { a, b, transposeA, transposeB })[0] as tf.TensorInfo)
      : tf.matMul(a, b, transposeA, transposeB);
    expect(y.shape).toEqual([batch, rows, columns]);
    const actual = await readBack.read([y]);
    tf.dispose([a, b, y]);
    let largest = 0;
    for (let n = 0; n < batch; n++)
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++) {
          let [sum, magnitude] = [0, 0];
          for (let k = 0; k < inner; k++) {
            const left = valuesA[n * rows * inner + (transposeA ? k * rows + row : row * inner + k)] as number;
            const right = valuesB[n * inner * columns + (transposeB ? column * inner + k : k * columns + column)] as number;
            sum += left * right;
            magnitude += Math.abs(left * right);
          }
          const error = Math.abs((actual[(n * rows + row) * columns + column] as number) - sum);
          largest = Math.max(largest, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error / ((inner + 1) * UNIT * magnitude));
        }
    return largest;
  }

  for (const layout of LAYOUTS)
    it(`stays within the rounding bound for extents that no tile divides, A${layout.transposeA ? "T" : ""} B${layout.transposeB ? "T" : ""}`, async () => {
      for (const [batch, rows, columns, inner] of [
        [1, 1, 1, 1],
        [1, 64, 64, 16],
        [2, 65, 63, 17],
        [3, 7, 130, 33],
        [1, 128, 96, 100],
      ] as const)
        expect(await worst({ batch, rows, columns, inner, ...layout }, true), `${batch}x${rows}x${columns}x${inner}`).toBeLessThan(1);
    });

  it("stays within the rounding bound for drawn extents", async () => {
    const extent = fc.integer({ min: 1, max: 80 });
    const drawn = fc.record({
      batch: fc.integer({ min: 1, max: 3 }),
      rows: extent,
      columns: extent,
      inner: extent,
      transposeA: fc.boolean(),
      transposeB: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(drawn, async (sizes) => {
        expect(await worst(sizes, true)).toBeLessThan(1);
      }),
      { numRuns: 20 },
    );
  });

  it("multiplies integers that TensorFlow.js calls floats, as one-hot tokens are", async () => {
    installMatmul();
    const hot = tf.oneHot(tf.tensor1d([3, 0, 69, 3], "int32"), 70);
    const table = tf.reshape(tf.range(0, 70 * 64), [70, 64]);
    const y = tf.matMul(tf.tile(hot, [16, 1]) as tf.Tensor2D, table as tf.Tensor2D);
    const values = await readBack.read([y]);
    expect([values[0], values[64], values[128], values[63 * 64 + 63]]).toEqual([3 * 64, 0, 69 * 64, 3 * 64 + 63]);
  });

  it("takes the place of the stock kernel in tf.matMul, which keeps the small products", async () => {
    installMatmul();
    installMatmul();
    let tiled = 0;
    const setPipeline = GPUComputePassEncoder.prototype.setPipeline;
    GPUComputePassEncoder.prototype.setPipeline = function (this: GPUComputePassEncoder, pipeline) {
      if (pipeline.label.startsWith("weft matmul")) tiled++;
      return setPipeline.call(this, pipeline);
    };
    try {
      const sizes = { batch: 2, inner: 40, transposeA: false, transposeB: true };
      expect(await worst({ ...sizes, rows: 70, columns: 65 }, false)).toBeLessThan(1);
      expect(tiled).toBe(1);
      expect(await worst({ ...sizes, rows: 5, columns: 65 }, false)).toBeLessThan(1);
      expect(tiled).toBe(1);
    } finally {
      GPUComputePassEncoder.prototype.setPipeline = setPipeline;
    }
  });
});
