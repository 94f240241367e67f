// What rounding can do to a result, as bounds on its error (Higham, Accuracy and Stability of Numerical Algorithms, 3.1).
import type { Values } from "./references.ts";

/** Unit roundoff of f32. */
export const UNIT = 2 ** -24;
/** What WGSL grants to one exponential of an argument within 25, to roots and to quotients, with room for a handful of operations. */
export const FUNCTIONS = 64 * UNIT;

/** WGSL may answer 0 for results below 2^-126, and a few factors may stand between such a result and what is judged. */
const UNDERFLOW = 2 ** -120;

/** Of a sum of `terms` products, in any order, relative to the sum of their sizes. */
export const gamma = (terms: number): number => (terms * UNIT) / (1 - terms * UNIT);

/** Values in f64, each with the error that f32 may make of it. */
export interface Bounded {
  readonly values: Float64Array;
  readonly bounds: Float64Array;
}
export const bounded = (size: number): Bounded => ({ values: new Float64Array(size), bounds: new Float64Array(size) });

/** The largest error in units of its bound: at most 1 for honest arithmetic. */
export function worstOf(actual: Values, { values, bounds }: Bounded): number {
  if (actual.length !== values.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (const [index, expected] of values.entries()) {
    const away = Math.abs((actual[index] as number) - expected);
    const ratio = away / ((bounds[index] as number) + UNDERFLOW);
    worst = Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : Math.max(worst, ratio);
  }
  return worst;
}
