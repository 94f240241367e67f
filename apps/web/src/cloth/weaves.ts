// The weaves: is the weft over the warp at end i, pick j? Each run has one, so a run is recognised by its cloth. Pure.

const WEAVES: Record<string, (i: number, j: number) => boolean> = {
  twill: (i, j) => (i + j) % 4 < 2,
  plain: (i, j) => (i + j) % 2 === 0,
  zigzag: (i, j) => (j % 8 < 4 ? i + j : i + 7 - (j % 8)) % 4 < 2,
  basket: (i, j) => ((i >> 1) + (j >> 1)) % 2 === 0,
  satin: (i, j) => (i + 2 * j) % 5 < 2,
};
const NAMES = Object.keys(WEAVES);
export type Weave = (i: number, j: number) => boolean;

/** A run's own weave, from its id: the same on every page and for everybody. */
export function weaveOf(run: string): Weave {
  let hash = 0;
  for (const character of run) hash = (Math.imul(hash, 31) + (character.codePointAt(0) ?? 0)) >>> 0;
  const weave = WEAVES[NAMES[hash % NAMES.length] ?? "twill"];
  if (weave === undefined) throw new Error("a weave is missing from the table");
  return weave;
}

/** Path of a swatch of n by n crossings, one unit each. */
export function swatchPath(weave: Weave, crossings: number): string {
  let path = "";
  for (let j = 0; j < crossings; j++) for (let i = 0; i < crossings; i++) if (weave(i, j)) path += `M${i} ${j}h1v1h-1z`;
  return path;
}
