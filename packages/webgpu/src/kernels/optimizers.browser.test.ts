// The optimisers on the GPU against those of the coordinator, bit patterns of random numbers against the CPU's, dropout; all of them in
// recorded steps too. A missing adapter fails.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { layoutOf, type OptimizerKind, randomStream, streamKey, threefry2x32 } from "@weft/tensors";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adamw } from "../../../training/src/optimizers/adamw.ts";
import type { OuterOptimizer } from "../../../training/src/optimizers/outer-optimizer.ts";
import { sgd } from "../../../training/src/optimizers/sgd.ts";
import {
  DeviceInputs,
  DeviceOptimizer,
  DeviceParameters,
  FlatReadBack,
  installKernels,
  openDevice,
  registerWebGpuBackend,
  restoreKernel,
  strikeKernel,
  Tape,
  unregisterWebGpuBackend,
} from "../index.ts";
import { SUBGROUPS } from "../variants.ts";
import { clipByNorm, squaresOf } from "./optimizers.ts";
import { dropout, randomUniform } from "./random.ts";

const UNIT = 2 ** -24;
const KINDS: readonly OptimizerKind[] = [
  { kind: "adamw", beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 },
  { kind: "sgd", momentum: 0.9, weightDecay: 0.01 },
  { kind: "sgd", momentum: 0, weightDecay: 0 },
];

let backend: WebGPUBackend;
let readBack: FlatReadBack;
beforeAll(async () => {
  const opened = await openDevice({ gpu: navigator.gpu, allowSoftware: true });
  if (!opened.ok) throw new Error(`${opened.message}: see the flags in vite.config.ts`);
  backend = await registerWebGpuBackend(opened.value);
  installKernels();
  readBack = new FlatReadBack(backend);
});
afterAll(() => {
  readBack.dispose();
  unregisterWebGpuBackend(backend);
});

const info = (tensor: tf.TensorInfo): tf.Tensor => tf.engine().makeTensorFromTensorInfo(tensor);

describe.each([
  { sums: "as the device can", without: [] },
  { sums: "without subgroups", without: [SUBGROUPS] },
])("an optimiser over the flat buffer, its sums $sums", { timeout: 60_000 }, ({ without }) => {
  beforeAll(() => {
    for (const name of without) strikeKernel(name);
  });
  afterAll(() => {
    for (const name of without) restoreKernel(name);
  });

  function coordinators(kind: OptimizerKind, size: number): OuterOptimizer {
    const spec = { ...kind, learningRate: 1 };
    const made = spec.kind === "adamw" ? adamw(spec, size, null) : sgd(spec, size, null);
    if (!made.ok) throw new Error(made.message);
    return made.value;
  }

  /** Several steps with gradients that change in a recorded step; the weights after each against the coordinator's. */
  async function check(sizes: readonly number[], kind: OptimizerKind, clipNorm: number): Promise<void> {
    const layout = layoutOf(sizes.map((size, index) => ({ name: `p${index}`, shape: [size] })));
    const stream = randomStream(layout.size, sizes.length);
    const normals = (): Float32Array => Float32Array.from({ length: layout.size }, () => stream.normal());
    const parameters = new DeviceParameters(backend, layout);
    const optimizer = new DeviceOptimizer(backend, parameters, { optimizer: kind, clipNorm });
    const inputs = new DeviceInputs(
      backend,
      Object.fromEntries(layout.parameters.map(({ name, size }) => [name, { shape: [size], dtype: "float32" as const }])),
    );
    const expected = coordinators(kind, layout.size);
    const weights = normals();
    parameters.write(weights);
    let tape: Tape | null = null;
    for (let step = 1; step <= 4; step++) {
      const gradient = normals();
      const learningRate = 0.1 / step;
      const scale = 0.25;
      inputs.write(Object.fromEntries(layout.parameters.map(({ name, offset, size }) => [name, gradient.slice(offset, offset + size)])));
      optimizer.advance(learningRate, scale);
      if (tape === null)
        tape = Tape.record(backend, () => {
          optimizer.apply(layout.parameters.map(({ name }) => inputs.tensors[name] as tf.Tensor));
          return [];
        });
      else tape.replay();
      const norm = scale * Math.hypot(...gradient);
      const factor = scale * Math.min(1, clipNorm / (norm + 1e-6));
      expected.step(
        weights,
        gradient.map((value) => value * factor),
        learningRate,
      );
      const actual = await readBack.readSources(parameters.sources);
      let error = 0;
      for (let at = 0; at < weights.length; at++) error = Math.max(error, Math.abs((actual[at] as number) - (weights[at] as number)));
      // Weights stay near 1, steps below 1: a few dozen roundings each, the norm's among them.
      expect(error, `${sizes} ${kind.kind} step ${step}`).toBeLessThan(step * 128 * UNIT * 4);
    }
    expect(tape?.dispatches).toBe(Number.isFinite(clipNorm) ? 2 : 1);
    tape?.dispose();
    for (const each of [inputs, optimizer, parameters]) each.dispose();
  }

  for (const kind of KINDS)
    it(`${JSON.stringify(kind)} follows the coordinator's, clipped and not, in recorded steps`, async () => {
      for (const clipNorm of [Number.POSITIVE_INFINITY, 0.5]) {
        await check([1], kind, clipNorm);
        await check([63, 65, 1, 200], kind, clipNorm);
        await check([5000, 300], kind, clipNorm);
      }
    });

  it("of drawn layouts", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 6 });
    await fc.assert(fc.asyncProperty(sizes, fc.constantFrom(...KINDS), fc.constantFrom(1, Number.POSITIVE_INFINITY), check), {
      numRuns: 6,
    });
  });

  it("begins anew after a reset", async () => {
    const layout = layoutOf([{ name: "w", shape: [70] }]);
    const parameters = new DeviceParameters(backend, layout);
    const optimizer = new DeviceOptimizer(backend, parameters, { optimizer: KINDS[0] as OptimizerKind, clipNorm: 1 });
    const gradient = tf.tensor1d(Float32Array.from({ length: 70 }, (_, index) => Math.sin(index)));
    const run = async (): Promise<Float32Array> => {
      parameters.write(new Float32Array(70).fill(0.5));
      for (let step = 0; step < 3; step++) {
        optimizer.advance(0.1, 1);
        optimizer.apply([gradient]);
      }
      return (await readBack.readSources(parameters.sources)).slice();
    };
    const first = await run();
    expect(await run()).not.toEqual(first);
    optimizer.reset();
    expect(await run()).toEqual(first);
    optimizer.dispose();
    parameters.dispose();
  });
});

describe("the norm of a gradient", () => {
  it("clips what is too long and leaves the rest alone", async () => {
    for (const size of [4, 64, 1028, 100_000]) {
      const stream = randomStream(size, 9);
      const values = Float32Array.from({ length: size }, () => stream.normal());
      const norm = Math.hypot(...values.subarray(0, size));
      for (const limit of [0.5, 1e9]) {
        const layout = layoutOf([{ name: "v", shape: [size] }]);
        const parameters = new DeviceParameters(backend, layout);
        parameters.write(values);
        const sums = info(squaresOf(backend, parameters.flat));
        const total = Math.sqrt((await readBack.read([sums])).reduce((sum, value) => sum + value, 0));
        expect(Math.abs(total / norm - 1)).toBeLessThan((Math.ceil(size / 4096) + 32) * UNIT);
        clipByNorm(backend, parameters.flat, sums, limit);
        const clipped = await readBack.readSources(parameters.sources);
        const factor = Math.min(1, limit / norm);
        for (let at = 0; at < size; at += 97)
          expect(Math.abs((clipped[at] as number) - (values[at] as number) * factor)).toBeLessThan(1e-5 * factor * 6);
        sums.dispose();
        parameters.dispose();
      }
    }
  });
});

describe("random numbers of the GPU", () => {
  it("are those of the CPU, bit for bit, at every step", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 2 ** 32 - 1 }),
        fc.nat({ max: 2 ** 40 }),
        fc.integer({ min: 0, max: 2 ** 20 }),
        fc.integer({ min: 1, max: 300 }),
        async (seed, stream, step, size) => {
          const at = tf.tensor1d([step], "int32");
          const y = info(randomUniform(backend, [size], streamKey(seed, stream), at)[0] as tf.TensorInfo);
          const source = randomStream(seed, stream);
          const pair = new Uint32Array(2);
          const expected = Float32Array.from({ length: size }, (_, index) => {
            source.pairAt(step * 2 ** 32 + (index >> 1), pair);
            return ((pair[index & 1] as number) >>> 8) / 2 ** 24;
          });
          expect(await readBack.read([y])).toEqual(expected);
          tf.dispose([at, y]);
        },
      ),
      { numRuns: 12 },
    );
  });

  it("are Threefry's known answer for a key and counter of ones", async () => {
    // Random123's kat_vectors: threefry2x32, 20 rounds.
    const words = new Uint32Array(2);
    threefry2x32(0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, words);
    expect([...words]).toEqual([0x1cb996fc, 0xbb002be7]);
  });
});

describe("dropout", () => {
  it("drops the same values of the gradient as of the values, others at the next step, and keeps the mean", async () => {
    const [size, rate] = [20_000, 0.3];
    const key = streamKey(7, 3);
    const inputs = new DeviceInputs(backend, { step: { shape: [1], dtype: "int32" }, x: { shape: [size], dtype: "float32" } });
    const ones = new Float32Array(size).fill(1);
    const tape = ((): Tape => {
      inputs.write({ step: Int32Array.of(0), x: ones });
      return Tape.record(backend, () => {
        const dropped = tf.customGrad((...args) => ({
          value: info(dropout(backend, args[0] as tf.Tensor, key, inputs.tensors.step, rate)[0] as tf.TensorInfo),
          gradFunc: (dy: tf.Tensor) => [
            (
              tf
                .engine()
                .runKernel("WeftDropoutGradient", { dy, step: inputs.tensors.step }, { key: [...key], rate }) as unknown as tf.Tensor[]
            )[0] as tf.Tensor,
          ],
        }));
        const { value, grad } = tf.tidy(() => {
          const [gradient] = tf.grads((x: tf.Tensor) => dropped(x))([inputs.tensors.x], tf.ones([size]));
          return { value: dropped(inputs.tensors.x), grad: gradient as tf.Tensor };
        });
        return [value, grad];
      });
    })();
    let before: Float32Array | null = null;
    for (const step of [0, 1, 2]) {
      inputs.write({ step: Int32Array.of(step), x: ones });
      tape.replay();
      const both = await readBack.readSources(tape.outputs);
      const values = both.slice(0, size);
      expect(both.slice(size)).toEqual(values);
      expect([...new Set(values)].sort()).toEqual([0, Math.fround(1 / 0.7)]);
      // Four deviations of a mean of 20,000 Bernoulli draws.
      const mean = values.reduce((sum, value) => sum + value, 0) / size;
      expect(Math.abs(mean - 1)).toBeLessThan((4 * Math.sqrt(0.3 / 0.7)) / Math.sqrt(size));
      expect(values).not.toEqual(before);
      before = values;
    }
    tape.dispose();
    inputs.dispose();
  });

  it("refuses a rate that would drop everything", () => {
    expect(() => dropout(backend, tf.zeros([4]), [1, 2], tf.zeros([1], "int32"), 1)).toThrow("dropout of 1");
  });
});
