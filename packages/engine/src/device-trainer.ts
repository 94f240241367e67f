// Training steps that stay on the GPU: gradients are gathered there, the optimiser runs there, and nothing is read back until the end. Knows
// neither how a step is computed nor of which model.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import type { Batch, OptimizerKind } from "@weft/tensors";
import { DeviceOptimizer, type DeviceParameters, type FlatReadBack, type Source } from "@weft/webgpu";
import type { Trainer } from "./backend.ts";
import { DeviceLosses } from "./device-losses.ts";

export interface DeviceTrainerOptions {
  readonly parameters: DeviceParameters;
  readonly readBack: FlatReadBack;
  readonly optimizer: OptimizerKind;
  readonly clipNorm: number;
  /** Gradients in the layout's order, then the loss, where they lie. */
  readonly compute: (batch: Batch) => Promise<readonly Source[]>;
}

export class DeviceTrainer implements Trainer {
  readonly #backend: WebGPUBackend;
  readonly #options: DeviceTrainerOptions;
  readonly #optimizer: DeviceOptimizer;
  /** One of each micro-batch since they were read. */
  readonly losses: DeviceLosses;

  constructor(backend: WebGPUBackend, options: DeviceTrainerOptions) {
    this.#backend = backend;
    this.#options = options;
    const { parameters, optimizer, clipNorm } = options;
    this.#optimizer = new DeviceOptimizer(backend, parameters, { optimizer, clipNorm });
    this.losses = new DeviceLosses(backend.device);
  }

  async step(batches: readonly Batch[], samples: number, learningRate: number): Promise<void> {
    for (const [index, batch] of batches.entries()) {
      const outputs = await this.#options.compute(batch);
      this.#optimizer.gather(outputs.slice(0, -1), index > 0);
      this.losses.take(outputs.at(-1) as Source);
      // A GPU cannot be interrupted: no more than this waits for it.
      if (index < batches.length - 1) await this.#backend.queue.onSubmittedWorkDone();
    }
    this.#optimizer.advance(learningRate, 1 / samples);
    this.#optimizer.applyGathered();
    await this.#backend.queue.onSubmittedWorkDone();
  }

  async read(): Promise<{ readonly weights: Float32Array; readonly lossSum: number }> {
    const { parameters, readBack } = this.#options;
    const values = await readBack.readSources([...parameters.sources, this.losses.source]);
    const size = parameters.sources.reduce((sum, { sizeBytes }) => sum + sizeBytes / 4, 0);
    return { weights: values.slice(0, size), lossSum: this.losses.sum(values.subarray(size)) };
  }

  reset(): void {
    this.#optimizer.reset();
    this.losses.clear();
  }

  dispose(): void {
    this.#optimizer.dispose();
    this.losses.dispose();
  }
}
