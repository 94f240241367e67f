// Training steps that stay on the GPU: gradients are gathered there, the optimiser runs there, and nothing is read back until the end. Knows
// neither how a step is computed nor of which model.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import type { Batch, OptimizerKind } from "@weft/tensors";
import { DeviceOptimizer, type DeviceParameters, type FlatReadBack, type Source } from "@weft/webgpu";
import type { Trainer } from "./backend.ts";

export interface DeviceTrainerOptions {
  readonly parameters: DeviceParameters;
  readonly readBack: FlatReadBack;
  readonly optimizer: OptimizerKind;
  readonly clipNorm: number;
  /** Gradients in the layout's order, then the loss, where they lie. */
  readonly compute: (batch: Batch) => Promise<readonly Source[]>;
}

/** Losses that are kept until they are read, at first. */
const FIRST_LOSSES = 1_024;

export class DeviceTrainer implements Trainer {
  readonly #backend: WebGPUBackend;
  readonly #options: DeviceTrainerOptions;
  readonly #optimizer: DeviceOptimizer;
  /** One of each micro-batch, so that their sum is made in f64. */
  #losses: GPUBuffer;
  #taken = 0;

  constructor(backend: WebGPUBackend, options: DeviceTrainerOptions) {
    this.#backend = backend;
    this.#options = options;
    const { parameters, optimizer, clipNorm } = options;
    this.#optimizer = new DeviceOptimizer(backend, parameters, { optimizer, clipNorm });
    this.#losses = this.#lossBuffer(FIRST_LOSSES);
  }

  async step(batches: readonly Batch[], samples: number, learningRate: number): Promise<void> {
    for (const [index, batch] of batches.entries()) {
      const outputs = await this.#options.compute(batch);
      this.#optimizer.gather(outputs.slice(0, -1), index > 0);
      this.#takeLoss(outputs.at(-1) as Source);
      // A GPU cannot be interrupted: no more than this waits for it.
      if (index < batches.length - 1) await this.#backend.queue.onSubmittedWorkDone();
    }
    this.#optimizer.advance(learningRate, 1 / samples);
    this.#optimizer.applyGathered();
    await this.#backend.queue.onSubmittedWorkDone();
  }

  async read(): Promise<{ readonly weights: Float32Array; readonly lossSum: number }> {
    const losses: Source = { buffer: this.#losses, offsetBytes: 0, sizeBytes: 4 * this.#taken };
    const { parameters, readBack } = this.#options;
    const values = await readBack.readSources([...parameters.sources, losses]);
    const size = values.length - this.#taken;
    const lossSum = values.subarray(size).reduce((sum, loss) => sum + loss, 0);
    this.#taken = 0;
    return { weights: values.slice(0, size), lossSum };
  }

  reset(): void {
    this.#optimizer.reset();
    this.#taken = 0;
  }

  dispose(): void {
    this.#optimizer.dispose();
    this.#losses.destroy();
  }

  #takeLoss({ buffer, offsetBytes }: Source): void {
    const encoder = this.#backend.device.createCommandEncoder();
    const before = this.#losses;
    const full = 4 * this.#taken === before.size;
    if (full) {
      this.#losses = this.#lossBuffer(2 * this.#taken);
      encoder.copyBufferToBuffer(before, 0, this.#losses, 0, before.size);
    }
    encoder.copyBufferToBuffer(buffer, offsetBytes, this.#losses, 4 * this.#taken, 4);
    this.#backend.queue.submit([encoder.finish()]);
    if (full) before.destroy();
    this.#taken += 1;
  }

  #lossBuffer(values: number): GPUBuffer {
    return this.#backend.device.createBuffer({
      size: 4 * values,
      label: "losses",
      usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  }
}
