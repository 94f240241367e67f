import type { OptimizerSpec } from "@weft/protocol";
import { randomStream, readSafetensors, writeSafetensors } from "@weft/tensors";
import { describe, expect, it } from "vitest";
import type { OuterOptimizer } from "./outer-optimizer.ts";
import { outerOptimizer } from "./outer-optimizers.ts";

const SGD = { kind: "sgd", learningRate: 0.1, momentum: 0.9, weightDecay: 0.01 } as const;
const NESTEROV = { kind: "nesterov", learningRate: 0.1, momentum: 0.9, weightDecay: 0.01 } as const;
const ADAMW = { kind: "adamw", learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 } as const;

const open = (spec: OptimizerSpec, size: number, state: Uint8Array | null = null): OuterOptimizer => {
  const result = outerOptimizer(spec, size, state);
  if (!result.ok) throw new Error(result.message);
  return result.value;
};
const normals = (size: number, seed: number): Float32Array => {
  const random = randomStream(seed, 0);
  return Float32Array.from({ length: size }, () => random.normal());
};

/** The optimisers once more, from the formulas on torch.optim's pages, in plain f64 on one number, with powers by `**`. */
function reference(spec: typeof SGD | typeof NESTEROV | typeof ADAMW, start: number, gradients: readonly number[]): number {
  let w = start;
  let buffer = 0;
  let m = 0;
  let v = 0;
  gradients.forEach((gradient, index) => {
    const t = index + 1;
    if (spec.kind !== "adamw") {
      const g = gradient + spec.weightDecay * w;
      buffer = t > 1 ? spec.momentum * buffer + g : g;
      w -= spec.learningRate * (spec.kind === "nesterov" ? g + spec.momentum * buffer : buffer);
    } else {
      w -= spec.learningRate * spec.weightDecay * w;
      m = spec.beta1 * m + (1 - spec.beta1) * gradient;
      v = spec.beta2 * v + (1 - spec.beta2) * gradient ** 2;
      const mHat = m / (1 - spec.beta1 ** t);
      const vHat = v / (1 - spec.beta2 ** t);
      w -= (spec.learningRate * mHat) / (Math.sqrt(vHat) + spec.epsilon);
    }
  });
  return w;
}

describe.each([SGD, NESTEROV, ADAMW])("$kind", (spec) => {
  it("follows the published formulas over 200 steps, each parameter by itself", () => {
    const size = 9;
    const weights = normals(size, 1);
    const start = weights.slice();
    const gradients = Array.from({ length: 200 }, (_, step) => normals(size, 100 + step));
    const optimizer = open(spec, size);
    for (const gradient of gradients) optimizer.step(weights, gradient, spec.learningRate);
    for (let at = 0; at < size; at++) {
      const wanted = reference(
        spec,
        start[at] as number,
        gradients.map((gradient) => gradient[at] as number),
      );
      expect(Math.abs((weights[at] as number) - wanted)).toBeLessThan(2e-6 * Math.max(1, Math.abs(wanted)) * 5);
    }
  });

  it("goes on from its encoded state with the same bits as without a break", () => {
    const steps = (optimizer: OuterOptimizer, weights: Float32Array, from: number, to: number) => {
      for (let step = from; step < to; step++) optimizer.step(weights, normals(300, step), spec.learningRate);
    };
    const whole = normals(300, 7);
    const unbroken = open(spec, 300);
    steps(unbroken, whole, 0, 20);
    const parts = normals(300, 7);
    let state: Uint8Array | null = null;
    for (let step = 0; step < 20; step++) {
      const optimizer = open(spec, 300, state);
      steps(optimizer, parts, step, step + 1);
      state = optimizer.state(null);
    }
    expect(parts).toEqual(whole);
    expect(state).toEqual(unbroken.state(null));
  });

  it("refuses a state that is damaged, of another size, of the other optimiser, or not finite", () => {
    const state = open(spec, 8).state(null);
    const other = open(spec.kind === "sgd" ? NESTEROV : SGD, 8).state(null);
    const file = readSafetensors(state);
    if (!file.ok) throw new Error(file.detail);
    const poisoned = [...file.tensors.values()].map((tensor) => ({ ...tensor, values: tensor.values.map(() => Number.NaN) }));
    for (const bad of [
      state.subarray(0, state.length - 1),
      open(spec, 9).state(null),
      other,
      new Uint8Array(0),
      writeSafetensors(poisoned, file.metadata),
      writeSafetensors([...file.tensors.values()].slice(1), file.metadata),
      writeSafetensors([...file.tensors.values()], {}),
    ])
      expect(outerOptimizer(spec, 8, bad)).toMatchObject({ ok: false, code: "damaged" });
    expect(outerOptimizer(spec, 8, state).ok).toBe(true);
  });
});

describe("by hand", () => {
  it("SGD with momentum: two steps of gradient 1 from 1, no decay: 1 - 0.1 - 0.1*1.9", () => {
    const weights = Float32Array.of(1);
    const optimizer = open({ ...SGD, weightDecay: 0 }, 1);
    optimizer.step(weights, Float32Array.of(1), 0.1);
    expect(weights[0]).toBeCloseTo(0.9, 6);
    optimizer.step(weights, Float32Array.of(1), 0.1);
    expect(weights[0]).toBeCloseTo(0.71, 6);
  });

  it("Nesterov: two steps of gradient 1 from 1, no decay: 1 - 0.1*1.9 - 0.1*(1 + 0.9*1.9)", () => {
    const weights = Float32Array.of(1);
    const optimizer = open({ ...NESTEROV, weightDecay: 0 }, 1);
    optimizer.step(weights, Float32Array.of(1), 0.1);
    expect(weights[0]).toBeCloseTo(0.81, 6);
    optimizer.step(weights, Float32Array.of(1), 0.1);
    expect(weights[0]).toBeCloseTo(0.539, 6);
  });

  it("AdamW: the first step has the length of the rate whatever the gradient, and decay is not in the moments", () => {
    for (const gradient of [1e-3, 1, -250]) {
      const weights = Float32Array.of(2);
      open(ADAMW, 1).step(weights, Float32Array.of(gradient), 0.01);
      // 2 - 0.01*0.1*2 - 0.01*sign
      expect(weights[0]).toBeCloseTo(1.998 - 0.01 * Math.sign(gradient), 5);
    }
    const still = Float32Array.of(2);
    open(ADAMW, 1).step(still, Float32Array.of(0), 0.01);
    expect(still[0]).toBe(Math.fround((1 - 0.01 * 0.1) * 2));
  });

  it("AdamW stays finite and readable after the largest gradient an f32 can carry", () => {
    const weights = Float32Array.of(1);
    const optimizer = open(ADAMW, 1);
    for (let step = 0; step < 3; step++) optimizer.step(weights, Float32Array.of(3.4e38), 0.01);
    expect(Number.isFinite(weights[0])).toBe(true);
    expect(outerOptimizer(ADAMW, 1, optimizer.state(null)).ok).toBe(true);
  });
});
