// One model with fixed batch shape on one backend: weights in, batch in, sums out. Knows neither how the backend was chosen nor why.
import * as tf from "@tensorflow/tfjs-core";
import { layoutFor, sampleLength } from "@weft/models";
import { logits, lossSum, type ModelTensors, type NamedTensors } from "@weft/models/tf";
import { type ModelSpec, readsText } from "@weft/protocol";
import type { Batch, ParameterLayout, StepResult } from "@weft/tensors";
import type { Backend, Parameters, Program } from "./backend.ts";

export class Computation {
  readonly model: ModelSpec;
  readonly microBatch: number;
  readonly layout: ParameterLayout;
  readonly #backend: Backend;
  readonly #parameters: Parameters;
  readonly #program: Program;
  #hasWeights = false;

  constructor(backend: Backend, model: ModelSpec, microBatch: number) {
    this.model = model;
    this.microBatch = microBatch;
    this.layout = layoutFor(model);
    this.#backend = backend;
    backend.use();
    this.#parameters = backend.parameters(this.layout);
    this.#program = backend.program(emptyBatch(model, microBatch), (tensors) => this.#lossAndGradients(tensors));
  }

  setWeights(flat: Float32Array): void {
    if (flat.length !== this.layout.size) throw new Error(`${flat.length} weights for a model of ${this.layout.size}`);
    this.#backend.use();
    this.#parameters.write(flat);
    this.#hasWeights = true;
  }

  /** Compiles what `step` needs, where the backend compiles. */
  async prepare(): Promise<void> {
    this.#backend.use();
    await this.#program.prepare();
  }

  async step(batch: Batch): Promise<StepResult> {
    if (!this.#hasWeights) throw new Error("step before setWeights");
    if (batch.rows !== this.microBatch) throw new Error(`A batch of ${batch.rows} rows where ${this.microBatch} were loaded`);
    this.#backend.use();
    const flat = await this.#program.run(batch);
    return { gradientSum: flat.slice(0, this.layout.size), lossSum: flat[this.layout.size] as number };
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
    this.#program.dispose();
    this.#parameters.dispose();
  }

  /** The gradients in the layout's order, then the loss. */
  #lossAndGradients(batch: ModelTensors): tf.Tensor[] {
    return tf.tidy(() => {
      const loss = (...parameters: tf.Tensor[]): tf.Scalar => lossSum(this.model, this.#named(parameters), batch);
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

/** Of the right shapes and no consequence. */
function emptyBatch(model: ModelSpec, rows: number): Batch {
  const length = rows * sampleLength(model);
  const text = readsText(model);
  return {
    rows,
    inputs: text ? new Int32Array(length) : new Float32Array(length),
    targets: new Int32Array(text ? length : rows),
    weights: new Float32Array(rows),
  };
}
