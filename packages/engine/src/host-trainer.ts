// Training steps for a backend that computes in this thread, the optimiser in plain JavaScript. Knows no model.
import type { Batch } from "@weft/tensors";
import { type Parameters, type Program, readHost, type Trainer, type TrainerOptions } from "./backend.ts";
import { type InnerOptimizer, innerOptimizer } from "./inner-optimizers.ts";

export class HostTrainer implements Trainer {
  readonly #parameters: Parameters;
  readonly #program: Program;
  readonly #options: TrainerOptions;
  #optimizer: InnerOptimizer;
  #lossSum = 0;

  constructor(parameters: Parameters, program: Program, options: TrainerOptions) {
    this.#parameters = parameters;
    this.#program = program;
    this.#options = options;
    this.#optimizer = this.#fresh();
  }

  async step(batches: readonly Batch[], samples: number, learningRate: number): Promise<void> {
    const { size } = this.#options.layout;
    const sum = new Float32Array(size);
    for (const batch of batches) {
      const results = await this.#program.run(batch);
      for (let at = 0; at < size; at++) sum[at] = (sum[at] as number) + (results[at] as number);
      this.#lossSum += results[size] as number;
    }
    const weights = readHost(this.#parameters.tensors);
    this.#optimizer.step(weights, sum, samples, learningRate);
    this.#parameters.write(weights);
  }

  async read(): Promise<{ readonly weights: Float32Array; readonly lossSum: number }> {
    const lossSum = this.#lossSum;
    this.#lossSum = 0;
    return { weights: readHost(this.#parameters.tensors), lossSum };
  }

  reset(): void {
    this.#optimizer = this.#fresh();
    this.#lossSum = 0;
  }

  dispose(): void {}

  #fresh(): InnerOptimizer {
    const { optimizer, clipNorm, layout } = this.#options;
    return innerOptimizer(optimizer, clipNorm, layout.size);
  }
}
