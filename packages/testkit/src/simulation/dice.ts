// Random numbers of a simulation: a stream of its own for each purpose, so that leaving out one volunteer or one fault changes nothing of
// what the others draw. That is what lets a failing seed be made smaller.

export interface Dice {
  /** Uniform in [0, 1). */
  next(): number;
  chance(probability: number): boolean;
  /** Whole, both ends included. */
  whole(low: number, high: number): number;
  between(low: number, high: number): number;
  /** Its logarithm is uniform: as often between 1 and 10 as between 10 and 100. */
  scale(low: number, high: number): number;
  pick<T>(list: readonly T[]): T;
}

export function diceOf(seed: number, ...purpose: readonly (string | number)[]): Dice {
  // FNV-1a over the name, then mulberry32.
  let state = 0x811c_9dc5;
  for (const character of `${seed}/${purpose.join("/")}`) state = Math.imul(state ^ (character.codePointAt(0) ?? 0), 0x0100_0193) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  return {
    next,
    chance: (probability) => next() < probability,
    whole: (low, high) => low + Math.floor(next() * (high - low + 1)),
    between: (low, high) => low + next() * (high - low),
    scale: (low, high) => low * (high / low) ** next(),
    pick: (list) => {
      const picked = list[Math.floor(next() * list.length)];
      if (picked === undefined) throw new Error("nothing to pick from");
      return picked;
    },
  };
}
