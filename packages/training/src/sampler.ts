// Which sample stands at a position of a run's endless sample stream: any position on its own, the same on every machine.
// Knows no data: a sample is a number, an image's index or a window's first token.
import { type DatasetManifest, type RunSpec, readsText, type SamplerSpec, totalSamples } from "@weft/protocol";
import { permuted, type RandomStream, randomStream } from "@weft/tensors";

// A lease draws thousands of neighbouring positions: the key of their epoch is made once.
type Use = "permutation" | "window" | "visit" | "order";
let held: { readonly seed: number; readonly stream: number; readonly use: Use; readonly random: RandomStream } | null = null;
function keyed(seed: number, stream: number, use: Use): RandomStream {
  if (held === null || held.seed !== seed || held.stream !== stream || held.use !== use)
    held = { seed, stream, use, random: randomStream(seed, stream, use) };
  return held.random;
}

/**
 * Sample at `position` (whole, 0 to 2^53 - 1) among `population` samples (1 or more; see populationOf).
 * `epoch`: position p is place p mod N of epoch floor(p / N), each epoch a permutation of its own, so each sample comes exactly
 * once an epoch. `random-window`: an independent uniform draw per position; the unevenness is below population / 2^53.
 * `clients`: which client is visited; of each `perRound` positions none twice. The population does not matter then.
 */
export function drawSample(sampler: SamplerSpec, seed: number, position: number, population: number): number {
  if (!Number.isSafeInteger(population) || population < 1) throw new RangeError(`no sample can be drawn from ${population}`);
  if (!Number.isSafeInteger(position) || position < 0) throw new RangeError(`${position} is no position of a sample stream`);
  switch (sampler.kind) {
    case "epoch": {
      // The remainder is exact, so the division is: floor(position / population) would round up near 2^53.
      const place = position % population;
      return permuted(keyed(seed, (position - place) / population, "permutation"), population, place);
    }
    case "random-window":
      return keyed(seed, 0, "window").bits53At(position) % population;
    case "clients": {
      const place = position % sampler.perRound;
      return permuted(keyed(seed, (position - place) / sampler.perRound, "visit"), sampler.clients, place);
    }
    default:
      return sampler satisfies never;
  }
}

/** More than any `sampler.epochs`. */
const EPOCHS = 10_001;

/**
 * Of a client's own `size` samples the one that comes at `place` (0 to size - 1) in epoch `epoch` (from 0) of the visit at `position`: each
 * epoch of each visit has a permutation of its own.
 */
export function visitedSample(seed: number, position: number, epoch: number, size: number, place: number): number {
  if (!Number.isSafeInteger(place) || place < 0 || place >= size) throw new RangeError(`a client of ${size} samples has none at ${place}`);
  return permuted(keyed(seed, position * EPOCHS + epoch, "order"), size, place);
}

/**
 * How many different samples a run draws from: its training images, or the possible first tokens of a window, which needs
 * `context` tokens and the one after the last. 0 where the text is too short: no run may be made of it.
 */
export function populationOf(spec: RunSpec, manifest: DatasetManifest): number {
  const samples = totalSamples(manifest.train);
  return readsText(spec.model) ? Math.max(0, samples - spec.model.context) : samples;
}
