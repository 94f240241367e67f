// What an engine is: a model on some device that turns a micro-batch into a flat gradient, or several batches into what training on them
// changes. Types alone; nothing here loads TensorFlow.js.
import type { DeviceInfo, ModelSpec, Precision } from "@weft/protocol";
import type { Batch, DevicePacking, EvaluationResult, LocalSteps, LocalStepsResult, StepBatches, StepResult } from "@weft/tensors";
import type { ThreadOptions } from "@weft/wasm";
import type { KernelMemory } from "@weft/webgpu";

export interface SelfTestResult {
  readonly passed: boolean;
  /** Worst relative error (norm of the difference over norm) against the stored gradients; Infinity becomes 1e9, so that it travels in JSON. */
  readonly relativeError: number;
  /** One sentence: what was checked, or which model and which parameter failed and how. */
  readonly detail: string;
}

/** Calls are made one after another. Flat vectors are in the canonical order and layout of `layoutFor`. */
export interface Engine {
  /** What computed the last answer: another one than before where a GPU was lost and something took its place, for a while or for good. */
  readonly device: DeviceInfo;
  /** Resolves with a sentence when the GPU is lost and nothing can take its place: the engine is then of no use. Never, for wasm and cpu. */
  readonly lost: Promise<string>;
  /** Compares fixed gradients with stored ones: of an mlp, which every device must get right, and of the loaded model's kind. The other
   *  kinds are tested when the first model of theirs is loaded, so that nobody waits for shaders that are not needed. */
  selfTest(): Promise<SelfTestResult>;
  /** Prepares for batches of exactly `microBatch` rows and compiles what they need. Idempotent for the same arguments. With `f16` (absent:
   *  `f32`) steps hold the factors of their products in half precision, where the device can and does it rightly.
   *  Throws EngineUnfitError where the device computes models of this kind wrongly. */
  load(model: ModelSpec, microBatch: number, precision?: Precision): Promise<void>;
  /** In what steps of the loaded model hold the factors of their products; all else is f32. */
  readonly precision: Precision;
  setWeights(flat: Float32Array): Promise<void>;
  /** Sums of loss and gradient over the rows with weight 1. */
  step(batch: Batch): Promise<StepResult>;
  /** Steps from the weights that were set, which stay set: what follows begins from them again. Null where they were given up. */
  localSteps(work: LocalSteps, batches: StepBatches): Promise<LocalStepsResult | null>;
  /** Leases whose update is encoded on the device, with the weights that were set, which stay set. */
  readonly packing: DevicePacking;
  /** Any number of rows. */
  evaluate(batch: Batch): Promise<EvaluationResult>;
  /** Images: [rows, classes]. Text: [rows, tokens, vocabulary], where a window may be shorter than the context. */
  logits(inputs: Float32Array | Int32Array, rows: number): Promise<Float32Array>;
  /** Twice is as good as once. */
  dispose(): void;
}

export interface EngineOptions {
  /** `auto`: WebGPU, else WASM, else CPU. A named one is used or refused. */
  readonly preference: "auto" | "webgpu" | "wasm" | "cpu";
  /** Without it a software WebGPU adapter counts as none. */
  readonly allowSoftwareGpu: boolean;
  /** Absent: `navigator.gpu`, where there is one. */
  readonly gpu?: GPU;
  /** Where it is kept what was found out of a GPU: its fastest kernels, those it gets wrong, how much fits. Absent: nowhere. */
  readonly memory?: KernelMemory;
  /** Threads for WASM, where they can be had: in Node, and where a page is cross-origin isolated and the engine not in a window. Absent: one.
   *  Gradients are the same to the last bit. Engines beside one another in a thread share what the first one that asked for threads was given. */
  readonly threads?: ThreadOptions;
}

export type EngineFault = "no-webgpu" | "no-wasm";

/** The named backend cannot be had here; `message` says why. */
export class EngineUnavailableError extends Error {
  readonly code: EngineFault;
  constructor(code: EngineFault, message: string) {
    super(message);
    this.name = "EngineUnavailableError";
    this.code = code;
  }
}

/** The device gives wrong numbers; `message` names the model and the parameter. */
export class EngineUnfitError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "EngineUnfitError";
  }
}
