// On what a volunteer's time went, in shares and in words. Knows no page.
import type { SpentMs } from "@weft/protocol";

const KINDS = ["computing", "uploading", "downloading", "waiting"] as const satisfies readonly (keyof SpentMs)[];
type Shares = Readonly<Record<(typeof KINDS)[number], number>>;

/** Parts of the whole; null where there is no time yet. */
function sharesOf(spentMs: SpentMs): Shares | null {
  const wholeMs = KINDS.reduce((sum, kind) => sum + spentMs[kind], 0);
  if (wholeMs === 0) return null;
  return {
    computing: spentMs.computing / wholeMs,
    uploading: spentMs.uploading / wholeMs,
    downloading: spentMs.downloading / wholeMs,
    waiting: spentMs.waiting / wholeMs,
  };
}

/** Whole percents that add up to a hundred: what rounding leaves goes to those that lost most by it. */
function percents(shares: Shares): Shares {
  const floors = { ...shares };
  for (const kind of KINDS) floors[kind] = Math.floor(100 * shares[kind]);
  const missing = 100 - KINDS.reduce((sum, kind) => sum + floors[kind], 0);
  const lost = [...KINDS].sort((a, b) => 100 * shares[b] - floors[b] - (100 * shares[a] - floors[a]));
  for (const kind of lost.slice(0, missing)) floors[kind] += 1;
  return floors;
}

/** In words and whole percents; null where there is nothing to say. */
export function timeWords(spentMs: SpentMs | null): string | null {
  const shares = spentMs === null ? null : sharesOf(spentMs);
  if (shares === null) return null;
  const shown = percents(shares);
  return KINDS.map((kind) => `${shown[kind]} % ${kind}`).join(", ");
}
