// A computation of fixed shapes, recorded once and replayed: TensorFlow.js runs it the first time and every call of a kernel is noted;
// afterwards the calls are made again, with the same addresses and without TensorFlow.js. Inputs must be tensors on memory of the caller's
// (their contents are what changes); constants are frozen. Knows no model.
import * as tf from "@tensorflow/tfjs-core";
import type { WasmBackend } from "./backend.ts";
import type { Command } from "./instance.ts";

export interface Output {
  readonly at: number;
  readonly size: number;
}

export class Tape {
  readonly #backend: WasmBackend;
  readonly #commands: readonly Command[];
  /** Where the results lie. */
  readonly outputs: readonly Output[];
  readonly #release: () => void;

  private constructor(backend: WasmBackend, commands: readonly Command[], outputs: readonly Output[], release: () => void) {
    this.#backend = backend;
    this.#commands = commands;
    this.outputs = outputs;
    this.#release = release;
  }

  /** Runs `run`, whose results are f32, and notes how. */
  static record(backend: WasmBackend, run: () => readonly tf.Tensor[]): Tape {
    const { value, commands, release } = backend.record(() => {
      const tensors = run();
      const outputs = tensors.map((tensor) => ({ at: backend.addressOf(tensor), size: tensor.size }));
      tf.dispose([...tensors]);
      return outputs;
    });
    return new Tape(backend, commands, value, release);
  }

  /** Computes the outputs anew from what the inputs hold now. Throws a ThreadsLostError where threads are lost. */
  replay(): void {
    for (const command of this.#commands) this.#backend.instance.run(command);
  }

  /** The outputs' values, one behind the other. */
  read(): Float32Array<ArrayBuffer> {
    const flat = new Float32Array(this.outputs.reduce((sum, { size }) => sum + size, 0));
    let offset = 0;
    for (const { at, size } of this.outputs) {
      flat.set(this.#backend.instance.f32(at, size), offset);
      offset += size;
    }
    return flat;
  }

  dispose(): void {
    this.#release();
  }
}
