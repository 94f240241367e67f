// The optimiser over all parameters at once, in linear memory: gradients are gathered in one flat vector, a kernel passes over it, the
// parameters and its state in place. Knows no model.
import type { OptimizerKind, ParameterLayout } from "@weft/tensors";
import type { WasmBackend } from "./backend.ts";
import type { FlatParameters } from "./flat-memory.ts";
import type { Output } from "./tape.ts";

export interface FlatOptimizerOptions {
  readonly optimizer: OptimizerKind;
  /** Largest norm of the mean gradient; Infinity: it is not clipped. */
  readonly clipNorm: number;
}

export class FlatOptimizer {
  readonly #backend: WasmBackend;
  readonly #parameters: FlatParameters;
  readonly #layout: ParameterLayout;
  readonly #options: FlatOptimizerOptions;
  readonly #gradients: number;
  /** Momentum; or first and second moments. */
  readonly #state: readonly number[];
  /** Where the kernels work. */
  readonly #scratch: number;
  #steps = 0;

  /** Throws a WasmMemoryError where there is no room for its vectors. */
  constructor(backend: WasmBackend, parameters: FlatParameters, layout: ParameterLayout, options: FlatOptimizerOptions) {
    this.#backend = backend;
    this.#parameters = parameters;
    this.#layout = layout;
    this.#options = options;
    const blocks: number[] = [];
    try {
      blocks.push(backend.allocate(backend.instance.optimizerScratchBytes));
      for (let vector = 0; vector < (options.optimizer.kind === "adamw" ? 3 : 2); vector++) blocks.push(backend.allocate(4 * layout.size));
    } catch (error) {
      for (const at of blocks) backend.release(at);
      throw error;
    }
    [this.#scratch, this.#gradients, ...this.#state] = blocks as [number, number, ...number[]];
    this.reset();
  }

  /** Puts a micro-batch's gradients, in the layout's order, in the place of those that were there, or, where `adds`, on top of them. */
  gather(gradients: readonly Output[], adds: boolean): void {
    const { instance } = this.#backend;
    for (const [index, { offset }] of this.#layout.parameters.entries()) {
      const { at, size } = gradients[index] as Output;
      const into = this.#gradients + 4 * offset;
      if (adds) this.#backend.call("add", into, at, into, size);
      else instance.f32(into, size).set(instance.f32(at, size));
    }
  }

  /** One step on the parameters from what was gathered; `gradientScale` makes means of its sums. */
  apply(learningRate: number, gradientScale: number): void {
    const backend = this.#backend;
    const { optimizer, clipNorm } = this.#options;
    const { size } = this.#layout;
    const [first, second] = this.#state as [number, number];
    this.#steps += 1;
    switch (optimizer.kind) {
      case "sgd": {
        const { momentum, weightDecay } = optimizer;
        const vectors = [this.#parameters.at, this.#gradients, first, size] as const;
        backend.call("sgd", ...vectors, learningRate, momentum, weightDecay, gradientScale, clipNorm, this.#scratch);
        return;
      }
      case "adamw": {
        const { beta1, beta2, epsilon, weightDecay } = optimizer;
        const stepSize = learningRate / (1 - beta1 ** this.#steps);
        const correction = Math.sqrt(1 - beta2 ** this.#steps);
        const vectors = [this.#parameters.at, this.#gradients, first, second, size] as const;
        const betas = [beta1, beta2] as const;
        const pull = learningRate * weightDecay;
        backend.call("adamw", ...vectors, pull, stepSize, correction, ...betas, epsilon, gradientScale, clipNorm, this.#scratch);
        return;
      }
      default:
        optimizer satisfies never;
    }
  }

  /** Forgets all steps: the state is zeros again. */
  reset(): void {
    this.#steps = 0;
    for (const at of this.#state) this.#backend.instance.f32(at, this.#layout.size).fill(0);
  }

  dispose(): void {
    for (const at of [this.#scratch, this.#gradients, ...this.#state]) this.#backend.release(at);
  }
}
