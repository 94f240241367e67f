// One model with fixed batch shape on one backend: weights in, batch in, sums out. Knows neither how the backend was chosen nor why.
import * as tf from "@tensorflow/tfjs-core";
import { layoutFor } from "@weft/models";
import { logits, lossSum, type ModelTensors, type NamedTensors } from "@weft/models/tf";
import type { ModelSpec } from "@weft/protocol";
import type { Batch, ParameterLayout, StepResult } from "@weft/tensors";
import type { Backend, Parameters } from "./backend.ts";

export class Computation {
  readonly model: ModelSpec;
  readonly microBatch: number;
  readonly layout: ParameterLayout;
  readonly #backend: Backend;
  readonly #parameters: Parameters;
  #hasWeights = false;

  constructor(backend: Backend, model: ModelSpec, microBatch: number) {
    this.model = model;
    this.microBatch = microBatch;
    this.layout = layoutFor(model);
    this.#backend = backend;
    backend.use();
    this.#parameters = backend.parameters(this.layout);
  }

  setWeights(flat: Float32Array): void {
    if (flat.length !== this.layout.size) throw new Error(`${flat.length} weights for a model of ${this.layout.size}`);
    this.#backend.use();
    this.#parameters.write(flat);
    this.#hasWeights = true;
  }

  /** Compiles what `step` needs, where the backend compiles. */
  async prepare(batch: Batch): Promise<void> {
    this.#backend.use();
    await this.#backend.prepare(() => tf.dispose(this.#lossAndGradients(batch)));
  }

  async step(batch: Batch): Promise<StepResult> {
    if (!this.#hasWeights) throw new Error("step before setWeights");
    if (batch.rows !== this.microBatch) throw new Error(`A batch of ${batch.rows} rows where ${this.microBatch} were loaded`);
    this.#backend.use();
    const outputs = this.#lossAndGradients(batch);
    try {
      const flat = await this.#backend.read(outputs);
      return { gradientSum: flat.slice(0, this.layout.size), lossSum: flat[this.layout.size] as number };
    } finally {
      this.#backend.use();
      tf.dispose(outputs);
    }
  }

  async logits(inputs: Float32Array | Int32Array, rows: number): Promise<Float32Array> {
    if (!this.#hasWeights) throw new Error("logits before setWeights");
    this.#backend.use();
    const output = tf.tidy(() => logits(this.model, this.#named(this.#parameters.tensors), inputTensor(inputs, rows)));
    try {
      return await this.#backend.read([output]);
    } finally {
      this.#backend.use();
      tf.dispose(output);
    }
  }

  dispose(): void {
    this.#backend.use();
    this.#parameters.dispose();
  }

  /** The gradients in the layout's order, then the loss. */
  #lossAndGradients(batch: Batch): tf.Tensor[] {
    return tf.tidy(() => {
      const tensors = batchTensors(batch);
      const loss = (...parameters: tf.Tensor[]): tf.Scalar => lossSum(this.model, this.#named(parameters), tensors);
      const { value, grads } = tf.valueAndGrads(loss)([...this.#parameters.tensors]);
      return [...grads, value];
    });
  }

  #named(tensors: readonly tf.Tensor[]): NamedTensors {
    return new Map(this.layout.parameters.map(({ name }, index) => [name, tensors[index] as tf.Tensor]));
  }
}

const inputTensor = (inputs: Float32Array | Int32Array, rows: number): tf.Tensor2D =>
  tf.tensor2d(inputs, [rows, inputs.length / rows], inputs instanceof Int32Array ? "int32" : "float32");

const batchTensors = ({ inputs, rows, targets, weights }: Batch): ModelTensors => ({
  inputs: inputTensor(inputs, rows),
  targets: tf.tensor1d(targets, "int32"),
  weights: tf.tensor1d(weights, "float32"),
});
