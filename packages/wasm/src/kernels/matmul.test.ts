// Matrix products against f64: every layout, every remainder of the register tiles, more than one block of each extent, batches.
import * as tf from "@tensorflow/tfjs-core";
import { randomStream } from "@weft/tensors";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { gamma } from "../../../webgpu/test/rounding.ts";
import { registerWasmBackend } from "../install.ts";

const normals = (length: number, seed: number): Float32Array => {
  const stream = randomStream(seed, 0);
  return Float32Array.from({ length }, () => stream.normal());
};

/** Largest error of a product in units of its bound: any order of k products, each rounded. */
function check(m: number, n: number, k: number, turnA: boolean, turnB: boolean, batchA = 1, batchB = 1): void {
  const [a, b] = [normals(batchA * m * k, m * 31 + k), normals(batchB * k * n, n * 17 + k)];
  const [shapeA, shapeB] = [turnA ? [k, m] : [m, k], turnB ? [n, k] : [k, n]];
  const [x, y] = [tf.tensor(a, [batchA, ...shapeA]), tf.tensor(b, [batchB, ...shapeB])];
  const product = tf.engine().runKernel("BatchMatMul", { a: x, b: y }, { transposeA: turnA, transposeB: turnB }) as tf.Tensor;
  const batch = Math.max(batchA, batchB);
  expect(product.shape).toEqual([batch, m, n]);
  const values = product.dataSync<"float32">();
  let worst = 0;
  for (let each = 0; each < batch; each++)
    for (let row = 0; row < m; row++)
      for (let column = 0; column < n; column++) {
        let [sum, sizes] = [0, 0];
        for (let inner = 0; inner < k; inner++) {
          const left = a[(batchA === 1 ? 0 : each) * m * k + (turnA ? inner * m + row : row * k + inner)] as number;
          const right = b[(batchB === 1 ? 0 : each) * k * n + (turnB ? column * k + inner : inner * n + column)] as number;
          sum += left * right;
          sizes += Math.abs(left * right);
        }
        const away = Math.abs(sum - (values[(each * m + row) * n + column] as number));
        worst = Math.max(worst, Number.isNaN(away) ? Number.POSITIVE_INFINITY : away / (gamma(k) * sizes));
      }
  tf.dispose([x, y, product]);
  expect(worst, `${m}x${n}x${k} ${turnA} ${turnB}`).toBeLessThanOrEqual(1);
}

describe("the matrix product", () => {
  beforeAll(async () => {
    await registerWasmBackend();
  });

  for (const turnA of [false, true])
    for (const turnB of [false, true])
      it(`${turnA ? "T" : "N"}${turnB ? "T" : "N"}: every remainder of a tile, and more than one block along each axis`, () => {
        for (let extra = 0; extra < 8; extra++) check(6 + extra, 8 + extra, 1 + extra, turnA, turnB);
        check(1, 1, 1, turnA, turnB);
        check(7, 261, 5, turnA, turnB);
        check(13, 9, 515, turnA, turnB);
        check(64, 64, 64, turnA, turnB);
      });
  it("drawn shapes and layouts", () => {
    const extent = fc.integer({ min: 1, max: 60 });
    fc.assert(
      fc.property(extent, extent, extent, fc.boolean(), fc.boolean(), (m, n, k, a, b) => check(m, n, k, a, b)),
      { numRuns: 60 },
    );
  });
  it("batches, and one operand for all of them", () => {
    check(5, 6, 7, false, true, 3, 3);
    check(5, 6, 7, true, false, 4, 1);
    check(9, 3, 2, false, false, 1, 5);
  });
  it("refuses extents that do not fit", () => {
    const run = () =>
      tf.engine().runKernel("BatchMatMul", { a: tf.ones([2, 3]), b: tf.ones([4, 5]) }, { transposeA: false, transposeB: false });
    expect(run).toThrow(/No product/);
  });
  it("lets NaN and infinity through", () => {
    const a = tf.tensor2d([Number.NaN, 1, 0, Number.POSITIVE_INFINITY], [2, 2]);
    expect([...tf.matMul(a, tf.ones([2, 1])).dataSync()]).toEqual([Number.NaN, Number.POSITIVE_INFINITY]);
  });
});
