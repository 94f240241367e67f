// Training steps that stay on the device: gradients go into one flat buffer, the optimiser passes over it and the parameters in place.
// Made for recording: what changes from step to step is written into a buffer before each. Knows no model.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { sourceOf, storageBuffer, tensorOn } from "./buffer-tensors.ts";
import type { DeviceParameters } from "./flat-buffers.ts";
import { type OptimizerKind, optimizerStep, stateVectors, stepScalars } from "./kernels/optimizers.ts";
import { flush } from "./tape.ts";

export interface DeviceOptimizerOptions {
  readonly optimizer: OptimizerKind;
  /** Largest norm of the mean gradient; Infinity: it is not clipped. */
  readonly clipNorm: number;
}

export class DeviceOptimizer {
  readonly #backend: WebGPUBackend;
  readonly #parameters: DeviceParameters;
  readonly #options: DeviceOptimizerOptions;
  readonly #buffers: Readonly<Record<"gradients" | "scalars", GPUBuffer>> & { readonly state: readonly GPUBuffer[] };
  readonly #tensors: Readonly<Record<"gradients" | "scalars", tf.Tensor>> & { readonly state: readonly tf.Tensor[] };
  #steps = 0;

  constructor(backend: WebGPUBackend, parameters: DeviceParameters, options: DeviceOptimizerOptions) {
    this.#backend = backend;
    this.#parameters = parameters;
    this.#options = options;
    const { size } = parameters.flat;
    const buffer = (values: number, label: string): GPUBuffer => storageBuffer(backend.device, 4 * values, label);
    this.#buffers = {
      gradients: buffer(size, "gradients"),
      scalars: buffer(4, "scalars"),
      state: Array.from({ length: stateVectors(options.optimizer) }, (_, index) => buffer(size, `optimizer state ${index}`)),
    };
    const tensor = (on: GPUBuffer): tf.Tensor => tf.keep(tensorOn(backend, on, [on.size / 4], "float32"));
    this.#tensors = {
      gradients: tensor(this.#buffers.gradients),
      scalars: tensor(this.#buffers.scalars),
      state: this.#buffers.state.map(tensor),
    };
  }

  /** Before each step: its learning rate, and by what the sum of gradients is to be multiplied for their mean. */
  advance(learningRate: number, gradientScale: number): void {
    this.#steps += 1;
    const scalars = stepScalars(this.#options.optimizer, this.#steps, learningRate, gradientScale);
    this.#backend.device.queue.writeBuffer(this.#buffers.scalars, 0, scalars);
  }

  /** One step on the parameters, from their gradients in the layout's order. One dispatch, or two with clipping. */
  apply(gradients: readonly tf.Tensor[]): void {
    const { weights, ...tensors } = { ...this.#tensors, weights: this.#parameters.flat };
    const backend = this.#backend as unknown as { readonly commandEncoder: GPUCommandEncoder };
    this.#backend.ensureCommandEncoderReady();
    this.#backend.endComputePassEncoder();
    for (const [index, gradient] of gradients.entries()) {
      const { buffer, offsetBytes, sizeBytes } = sourceOf(this.#backend, gradient);
      const to = 4 * (this.#parameters.offsets[index] as number);
      backend.commandEncoder.copyBufferToBuffer(buffer, offsetBytes, this.#buffers.gradients, to, sizeBytes);
    }
    optimizerStep(this.#backend, this.#options.optimizer, { ...tensors, weights, clipNorm: this.#options.clipNorm });
  }

  /** Forgets all steps: the state is zeros again. */
  reset(): void {
    this.#steps = 0;
    flush(this.#backend);
    const encoder = this.#backend.device.createCommandEncoder();
    for (const buffer of this.#buffers.state) encoder.clearBuffer(buffer);
    this.#backend.queue.submit([encoder.finish()]);
  }

  dispose(): void {
    const { gradients, scalars, state } = this.#tensors;
    tf.dispose([gradients, scalars, ...state]);
    for (const buffer of [this.#buffers.gradients, this.#buffers.scalars, ...this.#buffers.state]) buffer.destroy();
  }
}
