// What a run's page and the worker that tries its model say to one another. Plain data; knows neither side's inside.
import type { BlobRef, DatasetManifest, ModelSpec } from "@weft/protocol";

/** The model and the weights that a question is about: each question names them, since the newest weights change. */
export interface Subject {
  readonly model: ModelSpec;
  readonly weights: BlobRef;
}
export type Question =
  /** Class probabilities of one image: f32 values from 0 to 1, row-major. */
  | { readonly kind: "classify"; readonly subject: Subject; readonly values: Float32Array }
  /** `count` more tokens after `tokens`. */
  | { readonly kind: "write"; readonly subject: Subject; readonly tokens: Int32Array; readonly count: number; readonly temperature: number }
  /** A held-out image that no device ever trains on. */
  | { readonly kind: "held-out"; readonly manifest: DatasetManifest; readonly index: number };

export interface Asked {
  readonly id: number;
  readonly question: Question;
}
export type Answer =
  | { readonly kind: "classes"; readonly probabilities: Float32Array; readonly tookMs: number; readonly backend: string }
  | { readonly kind: "token"; readonly token: number }
  | { readonly kind: "written"; readonly tokensPerSecond: number; readonly backend: string }
  | { readonly kind: "image"; readonly values: Float32Array; readonly label: number }
  | { readonly kind: "failed"; readonly message: string };

export interface Answered {
  readonly id: number;
  readonly answer: Answer;
}
