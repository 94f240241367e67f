// Ranges of positions of the sample stream: what leases take of it, and what a version leaves behind uncounted. Knows no lease's fate.
import type { RunSpec, StreamRange } from "@weft/protocol";

/** Positions that a lease of `samples` samples takes: a visit to a client is one, whatever it has. */
export const positionsOf = ({ sampler }: Pick<RunSpec, "sampler">, samples: number): number => (sampler.kind === "clients" ? 1 : samples);

/** In rising order, those that touch made one. They must not overlap. */
export function mergedRanges(ranges: Iterable<StreamRange>): StreamRange[] {
  const merged: { start: number; length: number }[] = [];
  for (const { start, length } of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last !== undefined && last.start + last.length === start) last.length += length;
    else merged.push({ start, length });
  }
  return merged;
}

/** What is left when the first positions are taken, which all lie in the first range. */
export function withoutFirst([first, ...rest]: readonly StreamRange[], length: number): StreamRange[] {
  if (first === undefined || length > first.length) throw new RangeError(`there are no ${length} positions in the first range`);
  return length === first.length ? rest : [{ start: first.start + length, length: first.length - length }, ...rest];
}
