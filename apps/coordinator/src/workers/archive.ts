// A checkpoint's archive from what the core knows of a version. Knows no thread.
import { writeCheckpoint } from "@weft/checkpoints";
import type { CheckpointInput } from "@weft/coordinator";
import { layoutFor } from "@weft/models";

export const archiveOf = (input: CheckpointInput, weights: Float32Array): Uint8Array =>
  writeCheckpoint({ ...input, weights, weightsSha256: input.weights.sha256, layout: layoutFor(input.spec.model) });
