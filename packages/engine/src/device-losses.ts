// Losses of micro-batches, kept on the GPU until they are read with something else, so that their sum is made in f64. Knows no step.
import type { Source } from "@weft/webgpu";

/** Losses that there is room for at first. */
const FIRST_LOSSES = 1_024;

export class DeviceLosses {
  readonly #device: GPUDevice;
  #buffer: GPUBuffer;
  #taken = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#buffer = this.#bufferOf(FIRST_LOSSES);
  }

  /** All that were taken since the last sum. */
  get source(): Source {
    return { buffer: this.#buffer, offsetBytes: 0, sizeBytes: 4 * this.#taken };
  }

  take({ buffer, offsetBytes }: Source): void {
    const encoder = this.#device.createCommandEncoder();
    const before = this.#buffer;
    const full = 4 * this.#taken === before.size;
    if (full) {
      this.#buffer = this.#bufferOf(2 * this.#taken);
      encoder.copyBufferToBuffer(before, 0, this.#buffer, 0, before.size);
    }
    encoder.copyBufferToBuffer(buffer, offsetBytes, this.#buffer, 4 * this.#taken, 4);
    this.#device.queue.submit([encoder.finish()]);
    if (full) before.destroy();
    this.#taken += 1;
  }

  /** Of what was read from `source`, which is empty from then on. */
  sum(values: Float32Array): number {
    if (values.length !== this.#taken) throw new Error(`${values.length} losses were read of ${this.#taken}`);
    this.#taken = 0;
    return values.reduce((sum, loss) => sum + loss, 0);
  }

  clear(): void {
    this.#taken = 0;
  }

  dispose(): void {
    this.#buffer.destroy();
  }

  #bufferOf(values: number): GPUBuffer {
    return this.#device.createBuffer({ size: 4 * values, label: "losses", usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
  }
}
