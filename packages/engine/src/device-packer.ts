// A lease's update on the GPU, from its gradients, or from the weights before and after its steps, to the packed bytes that alone are read
// back. Knows neither how a step is computed nor of which model.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import type { Batch, CodecStream, Encoded } from "@weft/tensors";
import { type DeviceEncoder, type DeviceParameters, DeviceUpdate, type Source } from "@weft/webgpu";
import type { Packer, Trainer } from "./backend.ts";
import { DeviceLosses } from "./device-losses.ts";
import { DeviceTrainer } from "./device-trainer.ts";

export interface DevicePackerOptions {
  readonly parameters: DeviceParameters;
  readonly encoder: DeviceEncoder;
  /** Values of an update. */
  readonly size: number;
  /** Gradients in the layout's order, then the loss, where they lie. */
  readonly compute: (batch: Batch) => Promise<readonly Source[]>;
}

export class DevicePacker implements Packer {
  readonly #backend: WebGPUBackend;
  readonly #options: DevicePackerOptions;
  readonly #update: DeviceUpdate;
  readonly #losses: DeviceLosses;

  constructor(backend: WebGPUBackend, options: DevicePackerOptions) {
    this.#backend = backend;
    this.#options = options;
    this.#update = new DeviceUpdate(backend.device, options.encoder, options.size);
    this.#losses = new DeviceLosses(backend.device);
  }

  clear(): void {
    this.#update.clear();
    this.#losses.clear();
  }

  async add(batches: readonly Batch[]): Promise<void> {
    for (const batch of batches) {
      const outputs = await this.#options.compute(batch);
      this.#update.add(outputs.slice(0, -1));
      this.#losses.take(outputs.at(-1) as Source);
      // A GPU cannot be interrupted: no more than this waits for it.
      await this.#backend.queue.onSubmittedWorkDone();
    }
  }

  mean(samples: number, stream: CodecStream): Promise<{ readonly encoded: Encoded; readonly lossSum: number }> {
    return this.#packed(samples, stream, this.#losses);
  }

  begin(): void {
    this.clear();
    this.#update.add(this.#options.parameters.sources);
  }

  change(trainer: Trainer, stream: CodecStream): Promise<{ readonly encoded: Encoded; readonly lossSum: number }> {
    if (!(trainer instanceof DeviceTrainer)) throw new Error("Not of the WebGPU backend");
    this.#update.subtract(this.#options.parameters.sources);
    return this.#packed(1, stream, trainer.losses);
  }

  dispose(): void {
    this.#update.dispose();
    this.#losses.dispose();
  }

  async #packed(divisor: number, stream: CodecStream, losses: DeviceLosses) {
    const { encoded, alongside } = await this.#update.pack(divisor, stream, [losses.source]);
    return { encoded, lossSum: losses.sum(alongside) };
  }
}
