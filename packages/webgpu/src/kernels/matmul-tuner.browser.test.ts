// Every tiling in every layout against f64; the tuner's decisions, what it remembers, what it strikes. A missing adapter fails.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { randomStream } from "@weft/tensors";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FlatReadBack, openDevice, registerWebGpuBackend, unregisterWebGpuBackend } from "../index.ts";
import { forgetfulMemory, type KernelMemory } from "../kernel-memory.ts";
import type { Kernel } from "../launch.ts";
import { tiledMatmul } from "./matmul.ts";
import { choicesOf, MatmulChoices, type Shape, shapeClass } from "./matmul-choices.ts";
import { tuneMatmul } from "./matmul-tuner.ts";
import { type Layout, type Tiling, WIDE_TILINGS, wideMatmulKernel } from "./matmul-wide.ts";

/** Those that layers and their gradients use; shaders of one layout more would be most of this file's time. */
const LAYOUTS = [
  { transposeA: false, transposeB: false },
  { transposeA: false, transposeB: true },
  { transposeA: true, transposeB: false },
];
/** Unit roundoff of f32. */
const UNIT = 2 ** -24;

describe("tilings of the matrix product", { timeout: 120_000 }, () => {
  let backend: WebGPUBackend;
  let readBack: FlatReadBack;
  beforeAll(async () => {
    const opened = await openDevice({ gpu: navigator.gpu, allowSoftware: true });
    if (!opened.ok) throw new Error(`${opened.message}: see the flags in vite.config.ts`);
    backend = await registerWebGpuBackend(opened.value);
    readBack = new FlatReadBack(backend);
  });
  afterAll(() => {
    readBack.dispose();
    unregisterWebGpuBackend(backend);
  });

  /** Largest error with a bias and ReLU, in units of its bound: gamma(inner + 1) * (sum |a||b| + |bias|) (Higham, 3.1). */
  async function worst({ batch, rows, columns, inner, transposeA, transposeB }: Shape, tiling: Tiling): Promise<number> {
    const stream = randomStream(rows * 7 + columns * 3 + inner, batch);
    const fill = (size: number) => Float32Array.from({ length: size }, () => stream.normal());
    const [valuesA, valuesB, biases] = [fill(batch * rows * inner), fill(batch * inner * columns), fill(columns)];
    const a = tf.tensor3d(valuesA, transposeA ? [batch, inner, rows] : [batch, rows, inner]);
    const b = tf.tensor3d(valuesB, transposeB ? [batch, columns, inner] : [batch, inner, columns]);
    const bias = tf.tensor1d(biases);
    const [y] = tiledMatmul(backend, { a, b, transposeA, transposeB }, { bias, activation: "relu" }, tiling).map((info) =>
      tf.engine().makeTensorFromTensorInfo(info),
    ) as [tf.Tensor];
    const actual = await readBack.read([y]);
    tf.dispose([a, b, bias, y]);
    let largest = 0;
    for (let n = 0; n < batch; n++)
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++) {
          let sum = biases[column] as number;
          let magnitude = Math.abs(sum);
          for (let k = 0; k < inner; k++) {
            const left = valuesA[n * rows * inner + (transposeA ? k * rows + row : row * inner + k)] as number;
            const right = valuesB[n * inner * columns + (transposeB ? column * inner + k : k * columns + column)] as number;
            sum += left * right;
            magnitude += Math.abs(left * right);
          }
          const error = Math.abs((actual[(n * rows + row) * columns + column] as number) - Math.max(sum, 0));
          largest = Math.max(largest, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error / ((inner + 2) * UNIT * magnitude));
        }
    return largest;
  }

  for (const tiling of WIDE_TILINGS)
    it(`${tiling.name} stays within the rounding bound in three layouts, tiles half filled included`, async () => {
      for (const layout of LAYOUTS)
        for (const [batch, rows, columns, inner] of [
          [2, 4, 8, 4],
          [1, 68, 132, 20],
        ] as const)
          expect(
            await worst({ batch, rows, columns, inner, ...layout }, tiling),
            `${shapeClass({ batch, rows, columns, inner, ...layout })}`,
          ).toBeLessThan(1);
    });

  it("take rows that 4 does not divide wherever vectors do not run along them", async () => {
    const [tiling] = WIDE_TILINGS as [Tiling];
    for (const layout of LAYOUTS.filter(({ transposeA }) => !transposeA))
      expect(await worst({ batch: 1, rows: 67, columns: 8, inner: 12, ...layout }, tiling)).toBeLessThan(1);
    const choices = new MatmulChoices();
    for (const shape of [
      { batch: 1, rows: 8, columns: 6, inner: 8, transposeA: false, transposeB: false },
      { batch: 1, rows: 8, columns: 8, inner: 6, transposeA: false, transposeB: false },
      { batch: 1, rows: 6, columns: 8, inner: 8, transposeA: true, transposeB: false },
      { batch: 1, rows: 8, columns: 8, inner: 6, transposeA: true, transposeB: true },
    ])
      expect(choices.tilingFor(shape)).toBeNull();
    expect(choices.wanted.size).toBe(0);
  });

  const SHAPE: Shape = { batch: 1, rows: 64, columns: 32, inner: 48, transposeA: false, transposeB: true };
  const want = (): void => {
    choicesOf(backend).tilingFor(SHAPE);
  };
  const forget = (): void => {
    // A class that was decided is wanted no more; the tuner is shown one of its own each time.
    (choicesOf(backend) as unknown as { wanted: Map<string, Shape> }).wanted.set(shapeClass(SHAPE), SHAPE);
  };
  /** A clock by which every kernel but `name` takes twice as long: what is chosen does not hang on how busy this machine is. */
  function rigged(name: string): { readonly now: () => number; readonly kernelOf: (tiling: Tiling, layout: Layout) => Kernel } {
    let [at, running, reads] = [0, "", 0];
    const setPipeline = GPUComputePassEncoder.prototype.setPipeline;
    GPUComputePassEncoder.prototype.setPipeline = function (this: GPUComputePassEncoder, pipeline) {
      running = pipeline.label;
      reads = 0;
      return setPipeline.call(this, pipeline);
    };
    restore = () => {
      GPUComputePassEncoder.prototype.setPipeline = setPipeline;
    };
    return {
      now: () => {
        if (reads++ === 1) at += running.includes(`matmul ${name} `) ? 10 : 20;
        return at;
      },
      kernelOf: (tiling, layout) => wideMatmulKernel(tiling, layout, "linear"),
    };
  }
  let restore = (): void => undefined;
  const options = (memory: KernelMemory, more: object) => ({
    memory,
    adapter: "test",
    budgetMs: 60_000,
    now: () => 0,
    ...more,
  });

  it("the fastest is chosen, used and remembered: the second time nothing is measured", async () => {
    const memory = forgetfulMemory();
    want();
    try {
      expect(await tuneMatmul(backend, options(memory, rigged("32x32 memory")))).toEqual([]);
    } finally {
      restore();
    }
    expect(choicesOf(backend).tilingFor(SHAPE)?.name).toBe("32x32 memory");
    forget();
    let submits = 0;
    const { submit } = GPUQueue.prototype;
    GPUQueue.prototype.submit = function (this: GPUQueue, buffers) {
      submits++;
      submit.call(this, buffers);
    };
    try {
      await tuneMatmul(backend, options(memory, {}));
    } finally {
      GPUQueue.prototype.submit = submit;
    }
    expect(submits).toBe(0);
    expect(choicesOf(backend).tilingFor(SHAPE)?.name).toBe("32x32 memory");
  });

  it("a tiling that does not compile, and one that computes wrongly, are struck with a reason and not tried again", async () => {
    const memory = forgetfulMemory();
    const clock = rigged("64x64");
    let asked: string[] = [];
    const kernelOf = (tiling: Tiling, layout: Layout): Kernel => {
      const kernel = wideMatmulKernel(tiling, layout, "linear");
      asked.push(tiling.name);
      if (tiling.name === "64x64")
        return { ...kernel, name: "matmul 64x64 broken", body: `${kernel.body} fn broken() -> f32 { return 1u; }` };
      if (tiling.name === "128x64")
        return { ...kernel, name: "matmul 128x64 wrong", body: kernel.body.replace("= finish(sum)", "= 1.01 * finish(sum)") };
      return kernel;
    };
    forget();
    try {
      const struck = await tuneMatmul(backend, options(memory, { ...clock, kernelOf }));
      expect(struck.map(({ kernel }) => kernel)).toEqual(["matmul 64x64 broken", "matmul 128x64 wrong"]);
      expect(struck[0]?.reason).toMatch(/does not compile/);
      expect(struck[1]?.reason).toMatch(/wrong numbers/);
      const { name } = choicesOf(backend).tilingFor(SHAPE) ?? { name: "any" };
      expect(["64x64", "128x64"]).not.toContain(name);
      // Another class of shapes: the strikes hold for it too, without a second compilation.
      const other = { ...SHAPE, rows: 256 };
      choicesOf(backend).tilingFor(other);
      asked = [];
      expect(await tuneMatmul(backend, options(memory, { ...clock, kernelOf }))).toEqual([]);
      expect(asked).toContain("64x64");
    } finally {
      restore();
    }
  });

  it("begins no measurement after its time is up, and goes on with the kernel for any extents", async () => {
    const shape = { ...SHAPE, rows: 1024 };
    choicesOf(backend).tilingFor(shape);
    let at = 0;
    await tuneMatmul(backend, options(forgetfulMemory(), { budgetMs: -1, now: () => at++ }));
    expect(choicesOf(backend).tilingFor(shape)).toBeNull();
    expect(choicesOf(backend).wanted.has(shapeClass(shape))).toBe(true);
  });
});
