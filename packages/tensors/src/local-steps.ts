// Several steps that a device takes by itself, from one version's weights on: what is asked of it and what it gives back. Plain data and
// one function for the batches; knows no backend.
import type { Batch } from "./batch.ts";

/** How gradients change weights; what changes from step to step, the learning rate, stands beside it. */
export type OptimizerKind =
  | { readonly kind: "sgd"; readonly momentum: number; readonly weightDecay: number }
  | {
      readonly kind: "adamw";
      readonly beta1: number;
      readonly beta2: number;
      readonly epsilon: number;
      readonly weightDecay: number;
    };

export interface LocalSteps {
  /** 1 or more. */
  readonly steps: number;
  readonly optimizer: OptimizerKind;
  /** The same for all steps. */
  readonly learningRate: number;
  /** Largest norm of a step's mean gradient; Infinity: it is not clipped. */
  readonly clipNorm: number;
  /**
   * Whose optimiser state this is. The state that the last steps of the same name, model and optimiser left is gone on with, where the
   * device still has it; else, and always for null, it begins with zeros.
   */
  readonly state: string | null;
}

/**
 * The micro-batches of step `step`, each of as many rows as were loaded; together at least one sample. Asked for one step after another, each
 * when the device is done with the one before, so that a late answer is a pause. Where the device was lost or short of memory all begins
 * again from step 0. Null: the steps are given up.
 */
export type StepBatches = (step: number) => Promise<readonly Batch[] | null>;

export interface LocalStepsResult {
  /** Weights before minus weights after, flat in canonical order and layout: a pseudo-gradient. */
  readonly update: Float32Array;
  /** Each sample's loss before the step that it was part of. */
  readonly lossSum: number;
  readonly samples: number;
}

export const samplesIn = (batches: readonly Batch[]): number =>
  batches.reduce((sum, { weights }) => sum + weights.reduce((rows, weight) => rows + weight, 0), 0);
