// Seeded weights and batches that show whether a computation is right: no symmetry, no gradient that is zero by accident. For self-tests
// and checks, not for training. Knows no backend.
import { type ModelSpec, readsText } from "@weft/protocol";
import { type Batch, randomStream } from "@weft/tensors";
import { layoutFor, outputsOf, sampleLength } from "./layout.ts";

/** Normal of deviation 0.3, around 1 for the gains of layer norms and around 0 for all else. */
export function probeWeights(model: ModelSpec, seed: number): Float32Array {
  const stream = randomStream(seed, 0);
  const layout = layoutFor(model);
  const flat = new Float32Array(layout.size);
  for (const { name, offset, size } of layout.parameters) {
    const centre = /ln_(?:1|2|f)\.weight$/.test(name) ? 1 : 0;
    for (let at = offset; at < offset + size; at++) flat[at] = centre + 0.3 * stream.normal();
  }
  return flat;
}

/** `samples` real rows, then padding up to `rows` whose values are not zero: only their weight keeps them out. */
export function probeBatch(model: ModelSpec, rows: number, samples: number, seed: number): Batch {
  const stream = randomStream(seed, 1);
  const length = rows * sampleLength(model);
  const whole = (below: number): number => Math.floor(stream.uniform() * below);
  const text = readsText(model);
  return {
    rows,
    inputs: text ? Int32Array.from({ length }, () => whole(model.vocabulary)) : Float32Array.from({ length }, () => stream.normal()),
    targets: Int32Array.from({ length: text ? length : rows }, () => whole(outputsOf(model))),
    weights: Float32Array.from({ length: rows }, (_, row) => (row < samples ? 1 : 0)),
  };
}
