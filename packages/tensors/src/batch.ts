// One micro-batch as it enters a model, and what a step gives back. Plain typed arrays; knows no backend.

/** Rows beyond the real samples are padding with weight 0, so that shapes stay fixed. */
export interface Batch {
  /** Rows, padding included. */
  readonly rows: number;
  /** Images: f32 [rows, values]. Text: token ids [rows, context]. */
  readonly inputs: Float32Array | Int32Array;
  /** Images: class ids [rows]. Text: next tokens [rows, context]. */
  readonly targets: Int32Array;
  /** f32 [rows]: 1 for a real sample, 0 for padding. */
  readonly weights: Float32Array;
}

/** Sums over the real samples of a batch; the loss of a text window is the mean over its tokens. */
export interface StepResult {
  readonly lossSum: number;
  /** Gradient of `lossSum`, flat in canonical order and layout. */
  readonly gradientSum: Float32Array;
}
export interface EvaluationResult {
  readonly lossSum: number;
  /** Samples (images) or tokens (text) whose most likely class was right. */
  readonly correct: number;
  /** What `correct` is out of. */
  readonly predictions: number;
}
