// A lease's whole work as a device does it by itself, up to the encoded update: what is asked of it and what it gives back. Plain data; knows
// no backend.
import type { CodecStream, Encoded } from "./codec.ts";
import type { LocalSteps, StepBatches } from "./local-steps.ts";

export type LeaseWork = {
  /** How the update is to be encoded where it was computed. */
  readonly codec: string;
  readonly stream: CodecStream;
} & (
  | {
      /** The mean gradient over all samples of `steps` pieces; the weights stay as they are. */
      readonly kind: "gradient";
      readonly steps: number;
    }
  | { readonly kind: "local-steps"; readonly work: LocalSteps }
);

export interface LeaseResult {
  /** As the codec's own bytes, not yet sealed, or why it refuses the update; flat f32 where the device did not encode it. */
  readonly update: Encoded | Float32Array;
  /** Each sample's loss before the step that it was part of. */
  readonly lossSum: number;
  readonly samples: number;
  /**
   * With an update that was encoded by a codec with error feedback: what it does not say. It comes from the device when the packed bytes are
   * here already; null where that was lost meanwhile. Never rejects.
   */
  readonly rest?: Promise<Float32Array | null>;
}

/**
 * What updates before did not say, as the processor keeps it: asked for by codecs with error feedback when all steps are done, so that a late
 * answer is a pause. It is not changed. Where the device was lost or short of memory it is asked for again. Null: the work is given up.
 */
export type ResidualNow = () => Promise<Float32Array | null>;

/** Updates that stay on the device until they are packed. */
export interface DevicePacking {
  /** Codecs that the device of now encodes; none where it has no encoders. */
  readonly codecs: readonly string[];
  /** Takes batches as local steps do. Null where the work was given up. Any codec's update may come back as f32. */
  update(work: LeaseWork, batches: StepBatches, residual: ResidualNow): Promise<LeaseResult | null>;
}
