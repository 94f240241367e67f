// Training steps that stay on the device: gradients go into one flat buffer, the optimiser passes over it and the parameters in place.
// Made for recording: what changes from step to step is written into a buffer before each. Knows no model.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import type { OptimizerKind } from "@weft/tensors";
import { type Source, sourceOf, storageBuffer, tensorOn } from "./buffer-tensors.ts";
import type { DeviceParameters } from "./flat-buffers.ts";
import { addFlat, optimizerStep, stateVectors, stepScalars } from "./kernels/optimizers.ts";
import { flush, Tape } from "./tape.ts";

export interface DeviceOptimizerOptions {
  readonly optimizer: OptimizerKind;
  /** Largest norm of the mean gradient; Infinity: it is not clipped. */
  readonly clipNorm: number;
}

/** Where the gradients of a step's second and later micro-batches come to, and how they are added to the first's. */
interface Further {
  readonly buffer: GPUBuffer;
  readonly tensor: tf.Tensor;
  readonly add: Tape;
}

export class DeviceOptimizer {
  readonly #backend: WebGPUBackend;
  readonly #parameters: DeviceParameters;
  readonly #options: DeviceOptimizerOptions;
  readonly #buffers: Readonly<Record<"gradients" | "scalars", GPUBuffer>> & { readonly state: readonly GPUBuffer[] };
  readonly #tensors: Readonly<Record<"gradients" | "scalars", tf.Tensor>> & { readonly state: readonly tf.Tensor[] };
  #further: Further | null = null;
  #update: Tape | null = null;
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
    this.#tensors = {
      gradients: this.#tensor(this.#buffers.gradients),
      scalars: this.#tensor(this.#buffers.scalars),
      state: this.#buffers.state.map((on) => this.#tensor(on)),
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
    const backend = this.#backend as unknown as { readonly commandEncoder: GPUCommandEncoder };
    this.#backend.ensureCommandEncoderReady();
    this.#backend.endComputePassEncoder();
    this.#copy(
      backend.commandEncoder,
      gradients.map((gradient) => sourceOf(this.#backend, gradient)),
      this.#buffers.gradients,
    );
    this.#step();
  }

  /**
   * Puts a micro-batch's gradients, in the layout's order, where `applyGathered` finds them: in the place of those that were there, or, where
   * `adds`, on top of them.
   */
  gather(gradients: readonly Source[], adds: boolean): void {
    flush(this.#backend);
    const further = adds ? this.#forAdding() : null;
    const encoder = this.#backend.device.createCommandEncoder();
    this.#copy(encoder, gradients, further?.buffer ?? this.#buffers.gradients);
    this.#backend.queue.submit([encoder.finish()]);
    further?.add.replay();
  }

  /** One step on the parameters, from what was gathered. */
  applyGathered(): void {
    if (this.#update !== null) {
      this.#update.replay();
      return;
    }
    this.#update = Tape.record(this.#backend, () => {
      this.#step();
      return [];
    });
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
    this.#update?.dispose();
    this.#further?.add.dispose();
    const { gradients, scalars, state } = this.#tensors;
    tf.dispose([gradients, scalars, ...state]);
    for (const buffer of [this.#buffers.gradients, this.#buffers.scalars, ...this.#buffers.state]) buffer.destroy();
    this.#further?.tensor.dispose();
    this.#further?.buffer.destroy();
  }

  #tensor(on: GPUBuffer): tf.Tensor {
    return tf.keep(tensorOn(this.#backend, on, [on.size / 4], "float32"));
  }

  #copy(encoder: GPUCommandEncoder, gradients: readonly Source[], into: GPUBuffer): void {
    for (const [index, { buffer, offsetBytes, sizeBytes }] of gradients.entries())
      encoder.copyBufferToBuffer(buffer, offsetBytes, into, 4 * (this.#parameters.offsets[index] as number), sizeBytes);
  }

  #step(): void {
    const { clipNorm, optimizer } = this.#options;
    optimizerStep(this.#backend, optimizer, { ...this.#tensors, weights: this.#parameters.flat, clipNorm });
  }

  #forAdding(): Further {
    if (this.#further !== null) return this.#further;
    const buffer = storageBuffer(this.#backend.device, this.#buffers.gradients.size, "further gradients");
    const tensor = this.#tensor(buffer);
    // Recording computes: the new buffer holds zeros still.
    const add = Tape.record(this.#backend, () => {
      addFlat(this.#backend, this.#tensors.gradients, tensor);
      return [];
    });
    this.#further = { buffer, tensor, add };
    return this.#further;
  }
}
