// The reference of convolution, ReLU and pooling: known results, and gradients against central differences of the forward pass.
import { randomStream } from "@weft/tensors";
import { describe, expect, it } from "vitest";
import { type ConvolutionCase, convolutionBlock, convolutionBlockGradient } from "./convolution-reference.ts";

describe("the reference of convolution, ReLU and pooling", () => {
  const stream = randomStream(7, 0);
  const normals = (length: number): Float64Array => Float64Array.from({ length }, () => stream.normal());
  const given: ConvolutionCase = {
    images: 2,
    height: 5,
    width: 7,
    inputs: 2,
    outputs: 3,
    size: 3,
    x: normals(2 * 2 * 5 * 7),
    weight: normals(3 * 2 * 9),
    bias: normals(3),
  };

  it("sums a padded neighbourhood, and of each square takes the largest above 0 and its place", () => {
    const image = { ...given, images: 1, height: 2, width: 4, inputs: 1, outputs: 1, bias: [0.5] };
    const counted = convolutionBlock({ ...image, x: [1, 1, 1, 1, 1, 1, 1, 1], weight: new Float64Array(9).fill(1) });
    expect([...counted.values]).toEqual([6.5, 6.5]);
    expect([...counted.chosen]).toEqual([1, 0]);
    const dead = convolutionBlock({ ...image, x: [-1, -1, -1, -1, -1, -1, 0, -0.5], weight: [0, 0, 0, 0, 1, 0, 0, 0, 0] });
    expect([...dead.values]).toEqual([0, 0.5]);
    expect([...dead.chosen]).toEqual([-1, 2]);
  });

  it("has the slopes of its forward pass as its gradients", () => {
    const { chosen, values } = convolutionBlock(given);
    const dy = normals(values.length);
    const gradients = convolutionBlockGradient(given, dy, chosen);
    const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, index) => sum + value * (b[index] as number), 0);
    for (const [name, gradient] of [
      ["x", gradients.dx.values],
      ["weight", gradients.dWeight.values],
      ["bias", gradients.dBias.values],
    ] as const) {
      const direction = normals(gradient.length);
      const moved = (step: number): number => {
        const values_ = Float64Array.from(given[name], (value, index) => value + step * (direction[index] as number));
        return dot(convolutionBlock({ ...given, [name]: values_ }).values, dy);
      };
      const slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
      expect(Math.abs(slope - dot(gradient, direction)) / Math.abs(slope), name).toBeLessThan(1e-6);
    }
  });
});
