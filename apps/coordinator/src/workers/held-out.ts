// The held-out samples of an evaluation, the same each time, and what an engine scores on them. Knows no thread and no storage.
import { type DatasetReader, datasetReader, evenlySpread, type ShardSource, windowPopulation } from "@weft/datasets";
import type { Engine } from "@weft/engine";
import { type DatasetManifest, type Evaluation, f32ToHex, type RunSpec, readsText } from "@weft/protocol";
import type { Batch } from "@weft/tensors";

/** Rows of one evaluation batch: enough to be quick, few enough to stay small beside the weights. */
const IMAGE_ROWS = 256;
const WINDOW_ROWS = 4;

export interface HeldOut {
  readonly samples: number;
  batches(): AsyncIterable<Batch>;
}

/** `spec.evaluation.samples` samples spread evenly over the held-out part, or all of them; none where nothing is held out. */
export function heldOutSamples(spec: RunSpec, manifest: DatasetManifest, blobs: ShardSource): HeldOut {
  const reader: DatasetReader = datasetReader(manifest, blobs, "heldOut");
  const { model } = spec;
  const context = readsText(model) ? model.context : null;
  const population = context === null ? reader.samples : windowPopulation(reader.samples, context);
  const chosen = evenlySpread(spec.evaluation.samples, population);
  const rows = context === null ? IMAGE_ROWS : WINDOW_ROWS;
  return {
    samples: chosen.length,
    async *batches() {
      for (let from = 0; from < chosen.length; from += rows) {
        const some = chosen.subarray(from, from + rows);
        // The last batch is shorter rather than padded: an evaluation takes any number of rows.
        yield context === null ? await reader.images(some, some.length) : await reader.windows(some, context, some.length);
      }
    },
  };
}

/** Loss is the mean over samples (a window's is the mean over its tokens); accuracy only where the model classifies. */
export async function scoreHeldOut(engine: Pick<Engine, "evaluate">, spec: RunSpec, heldOut: HeldOut): Promise<Evaluation> {
  if (heldOut.samples === 0) throw new RangeError(`nothing of the data set ${spec.dataset} is held out`);
  let [lossSum, correct, predictions] = [0, 0, 0];
  for await (const batch of heldOut.batches()) {
    const part = await engine.evaluate(batch);
    lossSum += part.lossSum;
    correct += part.correct;
    predictions += part.predictions;
  }
  const accuracy = readsText(spec.model) ? null : f32ToHex(correct / predictions);
  return { lossMean: f32ToHex(lossSum / heldOut.samples), accuracy, samples: heldOut.samples };
}
