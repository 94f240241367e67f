// The versions that the present weights come from, across roll-backs, and the proof that they counted each sample once. Knows no ledger.
import type { BlobRef, RunSpec, StreamRange } from "@weft/protocol";
import { drawSample, mergedRanges } from "@weft/training";

/** A version, and how it came to be. */
export interface VersionPoint {
  readonly version: number;
  readonly weights: BlobRef;
  readonly optimizer: BlobRef | null;
  readonly position: number;
  readonly steps: number;
  /** Positions below its own that are not counted in it. */
  readonly pending: readonly StreamRange[];
  readonly made:
    | { readonly by: "beginning" }
    /** `counted`: in the order of its contributions. */
    | { readonly by: "round"; readonly base: VersionPoint; readonly counted: readonly StreamRange[] }
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
  /** Positions of the sample stream that the present weights have counted, from `from` to `to` (exclusive), each once, but for `pending` of them. */
  readonly from: number;
  readonly to: number;
  /** Given out before, and not counted yet. */
  readonly pending: number;
  readonly counted: number;
  /** Of the epoch sampler: how many samples an epoch has, how many epochs are whole, and how many samples the rest has. Null for other samplers. */
  readonly epochs: { readonly population: number; readonly whole: number; readonly begun: number } | null;
  /** How many positions were drawn to see which sample stands there. */
  readonly drawn: number;
  /** What does not add up, as sentences. */
  readonly faults: readonly string[];
}

/** Drawing is a matter of seconds up to here; beyond it the sampler's rule, a permutation of each epoch, stands for itself. */
const MAX_DRAWN = 20_000_000;

const lengthOf = (ranges: readonly StreamRange[]): number => ranges.reduce((sum, { length }) => sum + length, 0);

/**
 * Follows the rounds position by position, and draws the sample that stands at each. `origin`: where the run begins, with the positions before
 * that which it has to make up for.
 */
export function countSamples(
  spec: RunSpec,
  population: number,
  { position: from, pending: owed = [] }: { readonly position: number; readonly pending?: readonly StreamRange[] | undefined },
  tip: VersionPoint,
): SampleCount {
  const faults: string[] = [];
  const counted: StreamRange[] = [];
  let due = from;
  for (const { version, made } of [...lineageOf(tip)].reverse()) {
    if (made.by !== "round") continue;
    for (const range of made.counted) {
      if (spec.training.mode === "gradient" && range.start !== due)
        faults.push(`Version ${version} counts from position ${range.start} of the sample stream on, where ${due} was due.`);
      due = range.start + range.length;
      counted.push(range);
    }
  }
  if (spec.training.mode === "gradient" && due !== tip.position)
    faults.push(`Version ${tip.version} stands at position ${tip.position}, its rounds end at ${due}.`);
  const to = tip.position;
  if (spec.training.mode === "local-steps") faults.push(...rangeFaults(counted, tip, [...owed, { start: from, length: to - from }]));
  const pending = lengthOf(tip.pending);
  const none = { from, to, pending, counted: lengthOf(counted), epochs: null, drawn: 0, faults };
  if (spec.sampler.kind !== "epoch" || population < 1 || faults.length > 0) return none;
  const { whole, drawn, fault } = drawEpochs(spec, population, mergedRanges(counted));
  if (fault !== null) faults.push(fault);
  return { ...none, epochs: { population, whole, begun: none.counted - whole * population }, drawn };
}

/** What is counted and what is pending must be all positions that were due, and none twice. */
function rangeFaults(counted: readonly StreamRange[], { version, pending }: VersionPoint, due: readonly StreamRange[]): string[] {
  const all = [...counted, ...pending].sort((a, b) => a.start - b.start);
  const twice = all.find(({ start }, index) => index > 0 && start < (all[index - 1]?.start ?? 0) + (all[index - 1]?.length ?? 0));
  if (twice !== undefined)
    return [`Position ${twice.start} of the sample stream is counted twice in version ${version}, or is pending all the same.`];
  const wanted = mergedRanges(due.filter(({ length }) => length > 0));
  const found = mergedRanges(all);
  const at = wanted.findIndex((range, index) => range.start !== found[index]?.start || range.length !== found[index]?.length);
  if (at < 0 && wanted.length === found.length) return [];
  const { start } = (at < 0 ? found[wanted.length] : wanted[at]) as StreamRange;
  return [`Version ${version} has not counted what was due from position ${start} of the sample stream on, nor is it pending.`];
}

/** Epoch by epoch: which are whole, and whether a sample comes twice in one. */
function drawEpochs(
  { sampler, seed }: RunSpec,
  population: number,
  counted: readonly StreamRange[],
): { readonly whole: number; readonly drawn: number; readonly fault: string | null } {
  let [whole, drawn] = [0, 0];
  let seen = { epoch: -1, bits: new Uint8Array(0), positions: 0, distinct: 0 };
  let fault: string | null = null;
  const close = (): void => {
    if (seen.positions === population) whole += 1;
    if (seen.distinct !== drawnIn && fault === null)
      fault = `In epoch ${seen.epoch}, ${drawnIn - seen.distinct} samples were counted more than once.`;
  };
  let drawnIn = 0;
  for (const { start, length } of counted)
    for (let at = start; at < start + length; ) {
      const epoch = Math.floor(at / population);
      if (epoch !== seen.epoch) {
        close();
        seen = { epoch, bits: new Uint8Array(Math.ceil(population / 8)), positions: 0, distinct: 0 };
        drawnIn = 0;
      }
      const end = Math.min(start + length, (epoch + 1) * population);
      for (let position = at; position < end && drawn < MAX_DRAWN; position += 1) {
        const sample = drawSample(sampler, seed, position, population);
        const bit = 1 << (sample & 7);
        const byte = seen.bits[sample >>> 3] ?? 0;
        if ((byte & bit) === 0) seen.distinct += 1;
        seen.bits[sample >>> 3] = byte | bit;
        drawn += 1;
        drawnIn += 1;
      }
      seen.positions += end - at;
      at = end;
    }
  close();
  return { whole, drawn, fault };
}
