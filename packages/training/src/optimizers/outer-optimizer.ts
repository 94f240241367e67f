// How an aggregate changes the weights: the interface that every outer optimiser implements. One file an optimiser beside this one;
// outer-optimizers.ts finds it by its kind. State travels as a safetensors file (see state.ts), named in the ledger, so that any
// version can be closed again.

/** One step at a time; not shared between rounds. */
export interface OuterOptimizer {
  /** Changes `weights` in place by one step along `gradient` (same length, not kept). `learningRate` is the f32 of the ledger. */
  step(weights: Float32Array, gradient: Float32Array, learningRate: number): void;
  /** The weights to step, where the state before says that they are not the published ones; else null. */
  readonly master: Float32Array | null;
  /** The state after the steps so far; the same bytes for the same state. `master`: the weights stepped, where others are published. */
  state(master: Float32Array | null): Uint8Array;
}
