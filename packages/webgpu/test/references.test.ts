// The reference gradients against central differences of their forward passes along random directions.
import { randomStream } from "@weft/tensors";
import { describe, expect, it } from "vitest";
import * as reference from "./references.ts";

const stream = randomStream(5, 0);
const normals = (length: number): Float64Array => Float64Array.from({ length }, () => stream.normal());
const wholes = (length: number, below: number): Float64Array => Float64Array.from({ length }, () => Math.floor(stream.uniform() * below));
const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, value, i) => sum + value * (b[i] as number), 0);

/** Relative distance between <gradient, direction> and the difference of `f` along the direction. */
function gap(f: (x: Float64Array) => number, x: Float64Array, gradient: ArrayLike<number>): number {
  const direction = normals(x.length);
  const step = 1e-5;
  const moved = (sign: number) => f(x.map((value, i) => value + sign * step * (direction[i] as number)));
  const difference = (moved(1) - moved(-1)) / (2 * step);
  return Math.abs(difference - dot(gradient, direction)) / Math.max(Math.abs(difference), 1e-3);
}

describe("the reference gradients", () => {
  it("layer norm", () => {
    const given = { rows: 3, width: 7, x: normals(21), gain: normals(7), bias: normals(7) };
    const dy = normals(21);
    const { dx, dGain, dBias } = reference.layerNormGradient(given, dy);
    expect(gap((x) => dot(reference.layerNorm({ ...given, x }), dy), given.x, dx)).toBeLessThan(1e-6);
    expect(gap((gain) => dot(reference.layerNorm({ ...given, gain }), dy), given.gain, dGain)).toBeLessThan(1e-6);
    expect(gap((bias) => dot(reference.layerNorm({ ...given, bias }), dy), given.bias, dBias)).toBeLessThan(1e-6);
  });
  it.each(["exact", "tanh"] as const)("GELU, %s", (kind) => {
    const [x, dy] = [normals(40).map((value) => 2 * value), normals(40)];
    expect(gap((moved) => dot(reference.gelu(moved, kind), dy), x, reference.geluGradient(x, kind, dy))).toBeLessThan(1e-6);
  });
  it("GELU takes erf's known values", () => {
    for (const [z, erf] of [
      [0.5, 0.5204998778130465],
      [1, 0.8427007929497149],
      [2, 0.9953222650189527],
      [3, 0.9999779095030014],
    ] as const)
      expect(reference.gelu([z * Math.SQRT2], "exact")[0]).toBeCloseTo((z * Math.SQRT2 * (1 + erf)) / 2, 12);
  });
  it("cross-entropy", () => {
    const given = { rows: 6, classes: 5, predictions: 3, logits: normals(30), targets: wholes(6, 5), weights: normals(2) };
    const gradient = reference.crossEntropyGradient(given, 0.7);
    expect(gap((logits) => 0.7 * reference.crossEntropy({ ...given, logits }), given.logits, gradient)).toBeLessThan(1e-6);
  });
  it("embedding", () => {
    const given = { windows: 3, length: 4, context: 6, symbols: 5, width: 3, tokens: wholes(12, 5) };
    const [table, positions, dy] = [normals(15), normals(18), normals(36)];
    const { dTable, dPositions } = reference.embeddingGradient(given, dy);
    expect(gap((moved) => dot(reference.embedding(given, moved, positions), dy), table, dTable)).toBeLessThan(1e-6);
    expect(gap((moved) => dot(reference.embedding(given, table, moved), dy), positions, dPositions)).toBeLessThan(1e-6);
  });
  it("attention", () => {
    const given = { windows: 2, length: 5, heads: 2, depth: 3, qkv: normals(180) };
    const dy = normals(60);
    const gradient = reference.attentionGradient(given, dy);
    expect(gap((qkv) => dot(reference.attention({ ...given, qkv }), dy), given.qkv, gradient)).toBeLessThan(1e-6);
  });
});
