// A lease's update on the GPU, from its gradients, or from the weights before and after its steps, to the packed bytes that alone are read
// back before it is sent. What a codec with error feedback leaves unsaid is kept by whoever asks: the processor's copy is the truth, so that a lost
// device, another model or a reload costs nothing; 4 bytes a value go up before the encoding and come down after it, while the bytes are sent.
// Knows neither how a step is computed nor of which model.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import type { Batch } from "@weft/tensors";
import { type DeviceEncoder, type DeviceParameters, DeviceUpdate, type Source } from "@weft/webgpu";
import type { Encoding, Packed, Packer, Trainer } from "./backend.ts";
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

  mean(samples: number, encoding: Encoding): Promise<Packed | null> {
    return this.#packed(samples, encoding, this.#losses);
  }

  begin(): void {
    this.clear();
    this.#update.add(this.#options.parameters.sources);
  }

  change(trainer: Trainer, encoding: Encoding): Promise<Packed | null> {
    if (!(trainer instanceof DeviceTrainer)) throw new Error("Not of the WebGPU backend");
    this.#update.subtract(this.#options.parameters.sources);
    return this.#packed(1, encoding, trainer.losses);
  }

  dispose(): void {
    this.#update.dispose();
    this.#losses.dispose();
  }

  async #packed(divisor: number, { stream, residual }: Encoding, losses: DeviceLosses): Promise<Packed | null> {
    const hasFeedback = this.#options.encoder.form.feedback !== null;
    if (hasFeedback) {
      const given = await residual();
      if (given === null) return null;
      this.#update.give(given);
    }
    const { encoded, alongside } = await this.#update.pack(divisor, stream, [losses.source]);
    return { encoded, lossSum: losses.sum(alongside), ...(hasFeedback && encoded.ok ? { rest: this.#update.rest() } : {}) };
  }
}
