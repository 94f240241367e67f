// The versions that the present weights come from, across roll-backs, and the proof that they counted each sample once. Knows no ledger.
import type { BlobRef, RunSpec } from "@weft/protocol";
import { drawSample } from "@weft/training";

/** A version, and how it came to be. */
export interface VersionPoint {
  readonly version: number;
  readonly weights: BlobRef;
  readonly optimizer: BlobRef | null;
  readonly position: number;
  readonly steps: number;
  readonly made:
    | { readonly by: "beginning" }
    | { readonly by: "round"; readonly base: VersionPoint; readonly start: number; readonly samples: number }
    | { readonly by: "roll-back"; readonly to: VersionPoint };
}

/** The version and those that it comes from, newest first. */
export function* lineageOf(tip: VersionPoint): Generator<VersionPoint> {
  for (let point = tip; ; ) {
    yield point;
    if (point.made.by === "beginning") return;
    point = point.made.by === "round" ? point.made.base : point.made.to;
  }
}

/** Versions that were rolled back and are not among those that the newest comes from. */
export function undoneVersions(points: Iterable<number>, tip: VersionPoint): number[] {
  const present = new Set(Array.from(lineageOf(tip), ({ version }) => version));
  return [...points].filter((version) => !present.has(version));
}

export interface SampleCount {
  /** Positions of the sample stream that the present weights have counted, from `from` to `to` (exclusive), each once. */
  readonly from: number;
  readonly to: number;
  /** Of the epoch sampler: how many samples an epoch has, how many epochs are whole, and how many samples the rest has. Null for other samplers. */
  readonly epochs: { readonly population: number; readonly whole: number; readonly begun: number } | null;
  /** How many positions were drawn to see which sample stands there. */
  readonly drawn: number;
  /** What does not add up, as sentences. */
  readonly faults: readonly string[];
}

/** Drawing is a matter of seconds up to here; beyond it the sampler's rule, a permutation of each epoch, stands for itself. */
const MAX_DRAWN = 20_000_000;

/** Follows the rounds position by position, and draws the sample that stands at each. */
export function countSamples(spec: RunSpec, population: number, from: number, tip: VersionPoint): SampleCount {
  const faults: string[] = [];
  let to = from;
  for (const { version, made } of [...lineageOf(tip)].reverse()) {
    if (made.by !== "round") continue;
    const { start, samples } = made;
    if (start !== to) faults.push(`Version ${version} counts from position ${start} of the sample stream on, where ${to} was due.`);
    to = start + samples;
  }
  if (to !== tip.position) faults.push(`Version ${tip.version} stands at position ${tip.position}, its rounds end at ${to}.`);
  if (spec.sampler.kind !== "epoch" || population < 1) return { from, to, epochs: null, drawn: 0, faults };
  const last = Math.min(to, from + MAX_DRAWN);
  for (let at = from; at < last && faults.length === 0; ) {
    const end = Math.min(last, at - (at % population) + population);
    const seen = new Uint8Array(Math.ceil(population / 8));
    let distinct = 0;
    for (let position = at; position < end; position += 1) {
      const sample = drawSample(spec.sampler, spec.seed, position, population);
      const bit = 1 << (sample & 7);
      const byte = seen[sample >>> 3] ?? 0;
      if ((byte & bit) === 0) distinct += 1;
      seen[sample >>> 3] = byte | bit;
    }
    if (distinct !== end - at)
      faults.push(`In epoch ${Math.floor(at / population)}, ${end - at - distinct} samples were counted more than once.`);
    at = end;
  }
  const firstWhole = Math.ceil(from / population);
  const whole = Math.max(0, Math.floor(to / population) - firstWhole);
  return { from, to, epochs: { population, whole, begun: to - from - whole * population }, drawn: Math.max(0, last - from), faults };
}
