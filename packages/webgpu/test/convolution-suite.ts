// Convolution with ReLU and pooling and its gradients on a device against f64, within the bounds of their rounding: odd, tiny and drawn
// shapes, ties, and what lies behind the padding. One suite for all backends.
import * as tf from "@tensorflow/tfjs-core";
import { randomStream } from "@weft/tensors";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ConvolutionCase, convolutionBlock, convolutionBlockGradient } from "./convolution-reference.ts";
import { worstOf } from "./rounding.ts";
import type { Subject } from "./subject.ts";

type Extents = Pick<ConvolutionCase, "images" | "height" | "width" | "inputs" | "outputs" | "size">;

export function describeConvolution(title: string, open: () => Promise<Subject>): void {
  describe(title, { timeout: 90_000 }, () => {
    let subject: Subject;
    beforeAll(async () => {
      subject = await open();
    });
    afterAll(() => subject.close());

    async function run(name: string, inputs: tf.NamedTensorMap, attributes: tf.NamedAttrMap): Promise<Float32Array[]> {
      const results = tf.engine().runKernel(name, inputs, attributes) as unknown as tf.Tensor[];
      const read: Float32Array[] = [];
      for (const tensor of results) read.push(await subject.read([tensor]));
      tf.dispose(results);
      return read;
    }

    const tensorsOf = ({ images, height, width, inputs, outputs, size, ...values }: ConvolutionCase) => ({
      x: tf.tensor4d(Float32Array.from(values.x), [images, inputs, height, width]),
      weight: tf.tensor4d(Float32Array.from(values.weight), [outputs, inputs, size, size]),
      bias: tf.tensor1d(Float32Array.from(values.bias)),
    });

    async function check(extents: Extents): Promise<void> {
      const { images, height, width, inputs, outputs, size } = extents;
      const stream = randomStream(images * 1000 + height * 100 + width * 10 + inputs, outputs);
      const normals = (length: number) => Float32Array.from({ length }, () => stream.normal());
      const given = {
        ...extents,
        x: normals(images * inputs * height * width),
        weight: normals(outputs * inputs * size * size),
        bias: normals(outputs),
      };
      const { x, weight, bias } = tensorsOf(given);
      const name = JSON.stringify(extents);
      const [y, chosen] = (await run("WeftConvolutionBlock", { x, weight, bias }, {})) as [Float32Array, Float32Array];
      const expected = convolutionBlock(given);
      expect(worstOf(y, expected), name).toBeLessThan(1);
      for (const [square, { values, bound }] of expected.before.entries()) {
        // Two places may hold the same within rounding: then either may be chosen.
        const taken = chosen[square] === -1 ? 0 : (values[chosen[square] as number] ?? Number.NaN);
        expect(Math.max(0, ...values) - taken, `${name}, square ${square}`).toBeLessThanOrEqual(2 * bound);
        if (chosen[square] === -1) expect(y[square]).toBe(0);
        else expect(y[square]).toBeGreaterThan(0);
      }
      const dy = normals(y.length);
      const pooled: [number, number, number, number] = [images, outputs, height >> 1, width >> 1];
      const backward = { dy: tf.tensor4d(dy, pooled), x, weight, chosen: tf.tensor4d(chosen, pooled) };
      const gradients = await run("WeftConvolutionBlockGradient", backward, { inputIsData: false });
      const { dx, dWeight, dBias } = convolutionBlockGradient(given, dy, chosen);
      expect(gradients).toHaveLength(3);
      expect(worstOf(gradients[0] as Float32Array, dx), `${name} dx`).toBeLessThan(1);
      expect(worstOf(gradients[1] as Float32Array, dWeight), `${name} dWeight`).toBeLessThan(1);
      expect(worstOf(gradients[2] as Float32Array, dBias), `${name} dBias`).toBeLessThan(1);
      const ofData = await run("WeftConvolutionBlockGradient", backward, { inputIsData: true });
      expect(ofData).toEqual(gradients.slice(1));
      tf.dispose([x, weight, bias, ...Object.values(backward)]);
    }

    it("agrees with f64 for kernels of every size, odd extents, and images smaller than the kernel", async () => {
      for (const [images, height, width, inputs, outputs, size] of [
        [1, 2, 2, 1, 1, 1],
        [1, 2, 3, 1, 1, 5],
        [2, 3, 2, 3, 9, 3],
        [3, 7, 9, 2, 4, 5],
        [2, 5, 11, 10, 17, 9],
        [4, 28, 28, 1, 32, 5],
        [2, 14, 14, 32, 16, 5],
      ] as const)
        await check({ images, height, width, inputs, outputs, size });
      const upTo = (max: number, min = 1) => fc.integer({ min, max });
      await fc.assert(
        fc.asyncProperty(
          fc.record({
            images: upTo(5),
            height: upTo(12, 2),
            width: upTo(12, 2),
            inputs: upTo(11),
            outputs: upTo(11),
            size: fc.constantFrom(1, 3, 5),
          }),
          check,
        ),
        { numRuns: 10 },
      );
    });

    it("of equals in a square the first is the largest, and at 0 no gradient flows, as in PyTorch", async () => {
      const given = { images: 1, height: 4, width: 4, inputs: 1, outputs: 1, size: 1, weight: [1], bias: [0] };
      const x = [
        [2, 2, 0, 0],
        [2, 2, 0, 0],
        [-1, -1, 1, 3],
        [-1, -1, 3, 3],
      ].flat();
      const tensors = tensorsOf({ ...given, x });
      const [y, chosen] = (await run("WeftConvolutionBlock", tensors, {})) as [Float32Array, Float32Array];
      expect([...y]).toEqual([2, 0, 0, 3]);
      expect([...chosen]).toEqual([0, -1, -1, 1]);
      const pooled: [number, number, number, number] = [1, 1, 2, 2];
      const dy = tf.tensor4d([1, 10, 100, 1000], pooled);
      const [dx, dWeight, dBias] = await run(
        "WeftConvolutionBlockGradient",
        { dy, x: tensors.x, weight: tensors.weight, chosen: tf.tensor4d(chosen, pooled) },
        { inputIsData: false },
      );
      expect([...(dx as Float32Array)]).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1000, 0, 0, 0, 0]);
      expect([...(dWeight as Float32Array), ...(dBias as Float32Array)]).toEqual([3002, 1001]);
    });
  });
}
