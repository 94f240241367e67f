// The dense layer and its gradients against f64 on the CPU: layouts, biases, activations, drawn shapes. One suite for all backends.
import * as tf from "@tensorflow/tfjs-core";
import { randomStream } from "@weft/tensors";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as reference from "./references.ts";
import type { Subject } from "./subject.ts";

type Activation = "none" | "relu" | "gelu-exact" | "gelu-tanh";

/** Unit roundoff of f32, and roundings that GELU's functions may add, slopes up to 1.13 included. */
const UNIT = 2 ** -24;
const FUNCTIONS = 64;

export interface LinearCase {
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly outIn: boolean;
  readonly hasBias: boolean;
  readonly activation: Activation;
  readonly inputIsData: boolean;
}

/** Whether the subject computes a case within its bounds. */
export type LinearCheck = (given: LinearCase) => Promise<void>;

/** How far, over its size, a product may be off for how its factors are stored: both rounded to f16 (unit roundoff 2^-11), with what is below
 *  the least normal f16 flushed to 0. */
export const HALF_FACTORS = 2.25 * 2 ** -11;

/** `more` may add tests of the backend's own. */
export function describeLinear(title: string, open: () => Promise<Subject>, more: (check: LinearCheck) => void = () => undefined): void {
  describe(title, { timeout: 90_000 }, () => {
    let subject: Subject;
    beforeAll(async () => {
      subject = await open();
    });
    afterAll(() => subject.close());

    const at = (values: ArrayLike<number>, index: number): number => values[index] as number;

    /** left [m, k] times right [k, n] in f64, each given by its element, with the sum of magnitudes for the bound. */
    function product(m: number, n: number, k: number, left: (i: number, l: number) => number, right: (l: number, j: number) => number) {
      const [values, magnitudes] = [new Float64Array(m * n), new Float64Array(m * n)];
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++)
          for (let l = 0; l < k; l++) {
            const term = left(i, l) * right(l, j);
            values[i * n + j] = at(values, i * n + j) + term;
            magnitudes[i * n + j] = at(magnitudes, i * n + j) + Math.abs(term);
          }
      return { values, largest: Math.max(...magnitudes) };
    }

    async function expectClose(
      actual: tf.Tensor | undefined,
      expected: ArrayLike<number>,
      terms: number,
      largest: number,
      name: string,
      factors = subject.half === true ? HALF_FACTORS : 0,
    ) {
      const values = await subject.read([actual as tf.Tensor]);
      expect(values, name).toHaveLength(expected.length);
      let error = 0;
      for (let index = 0; index < values.length; index++) error = Math.max(error, Math.abs(at(values, index) - at(expected, index)));
      expect(error / (((terms + FUNCTIONS) * UNIT + factors) * Math.max(largest, 1)), name).toBeLessThan(1);
    }

    async function check(given: LinearCase): Promise<void> {
      const { rows, inputs, outputs, outIn, hasBias, activation, inputIsData } = given;
      const name = JSON.stringify(given);
      const stream = randomStream(rows * 1000 + inputs * 10 + outputs, 0);
      const normals = (length: number): Float32Array => Float32Array.from({ length }, () => stream.normal());
      const [x, weight, bias, dy] = [normals(rows * inputs), normals(inputs * outputs), normals(outputs), normals(rows * outputs)];
      const w = (i: number, o: number): number => at(weight, outIn ? o * inputs + i : i * outputs + o);

      const z = product(rows, outputs, inputs, (r, i) => at(x, r * inputs + i), w);
      if (hasBias) for (let index = 0; index < z.values.length; index++) z.values[index] = at(z.values, index) + at(bias, index % outputs);
      const kind = activation === "gelu-exact" ? "exact" : activation === "gelu-tanh" ? "tanh" : null;
      const y =
        kind !== null ? reference.gelu(z.values, kind) : activation === "relu" ? z.values.map((value) => Math.max(value, 0)) : z.values;

      const tensors = { x: tf.tensor2d(x, [rows, inputs]), weight: tf.tensor2d(weight, outIn ? [outputs, inputs] : [inputs, outputs]) };
      const forward = { ...tensors, ...(hasBias ? { bias: tf.tensor1d(bias) } : {}) };
      const run = subject.run ?? ((launch: () => unknown) => launch());
      const results = run(() => tf.engine().runKernel("WeftLinear", forward, { outIn, activation })) as tf.Tensor[];
      const packed = results.slice(kind === null ? 1 : 2);
      await expectClose(results[0], y, inputs + 1, 1.2 * z.largest, `${name} y`);
      if (kind !== null) await expectClose(results[1], z.values, inputs + 1, z.largest, `${name} z`);

      // The gradient is held against what the forward pass in f32 saw, so that a value near zero is on one side for both.
      const seen = results[kind === null ? 0 : 1] as tf.Tensor;
      const saw = await subject.read([seen]);
      const dz =
        kind !== null
          ? reference.geluGradient(saw, kind, dy)
          : activation === "relu"
            ? dy.map((value, index) => (at(saw, index) > 0 ? value : 0))
            : dy;
      const factors = packed.length === 0 ? tensors : { x: packed[0] as tf.Tensor, weight: packed[1] as tf.Tensor };
      const packedInputs = packed.length === 0 ? 0 : inputs;
      const gradients = run(() =>
        tf
          .engine()
          .runKernel(
            "WeftLinearGradient",
            { dy: tf.tensor2d(dy, [rows, outputs]), ...factors, ...(activation === "none" ? {} : { seen }) },
            { outIn, activation, hasBias, inputIsData, packedInputs },
          ),
      ) as tf.Tensor[];
      expect(gradients).toHaveLength(1 + (hasBias ? 1 : 0) + (inputIsData ? 0 : 1));
      const [dx, dWeight] = inputIsData ? [undefined, gradients[0]] : gradients;
      if (!inputIsData) {
        const expected = product(
          rows,
          inputs,
          outputs,
          (r, o) => at(dz, r * outputs + o),
          (o, i) => w(i, o),
        );
        await expectClose(dx, expected.values, outputs + 2, 1.2 * expected.largest, `${name} dx`);
      }
      const dw = outIn
        ? product(
            outputs,
            inputs,
            rows,
            (o, r) => at(dz, r * outputs + o),
            (r, i) => at(x, r * inputs + i),
          )
        : product(
            inputs,
            outputs,
            rows,
            (i, r) => at(x, r * inputs + i),
            (r, o) => at(dz, r * outputs + o),
          );
      await expectClose(dWeight, dw.values, rows + 2, 1.2 * dw.largest, `${name} dWeight`);
      if (hasBias) {
        const sums = product(
          1,
          outputs,
          rows,
          () => 1,
          (r, o) => at(dz, r * outputs + o),
        );
        await expectClose(gradients.at(-1), sums.values, rows + 2, 1.2 * sums.largest, `${name} dBias`, 0);
      }
      tf.dispose([...results, ...gradients, ...Object.values(forward)]);
    }

    it("with and without bias, in both layouts, through every activation", async () => {
      for (const activation of ["none", "relu", "gelu-exact", "gelu-tanh"] as const)
        for (const outIn of [false, true])
          for (const hasBias of [false, true])
            await check({ rows: 17, inputs: 12, outputs: 9, outIn, hasBias, activation, inputIsData: false });
    });

    it("of drawn shapes", async () => {
      const extent = fc.integer({ min: 1, max: 70 });
      const drawn = fc.record({
        rows: extent,
        inputs: extent,
        outputs: extent,
        outIn: fc.boolean(),
        hasBias: fc.boolean(),
        activation: fc.constantFrom<Activation>("none", "relu", "gelu-exact", "gelu-tanh"),
        inputIsData: fc.boolean(),
      });
      await fc.assert(fc.asyncProperty(drawn, check), { numRuns: 12 });
    });

    more(check);
  });
}
