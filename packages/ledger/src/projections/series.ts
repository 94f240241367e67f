// Lists that a page can draw and a process can hold, however long a run becomes. Know nothing of what is in them.

/** Newest `limit` items, in order; older ones are forgotten. Adding is O(1) amortised. */
export interface Recent<T> {
  add(item: T): void;
  items(): T[];
  /** Puts what `by` gives in each item's place. */
  change(by: (item: T) => T): void;
}
export function createRecent<T>(limit: number): Recent<T> {
  let kept: T[] = [];
  return {
    add(item) {
      kept.push(item);
      if (kept.length >= 2 * limit) kept = kept.slice(-limit);
    },
    items: () => kept.slice(-limit),
    change(by) {
      kept = kept.map(by);
    },
  };
}

/**
 * A curve of at most `limit` points. When it is full every second point goes: old stretches become coarser, the first and the newest
 * point always stay, and the shape of the curve stays with them.
 */
export interface Thinned<T> {
  add(item: T): void;
  items(): T[];
  last(): T | null;
  /** Puts what `by` gives in each item's place. */
  change(by: (item: T) => T): void;
}
export function createThinned<T>(limit: number): Thinned<T> {
  let kept: T[] = [];
  return {
    add(item) {
      if (kept.length >= limit) kept = kept.filter((_, index) => index % 2 === 0 || index === kept.length - 1);
      kept.push(item);
    },
    items: () => [...kept],
    last: () => kept.at(-1) ?? null,
    change(by) {
      kept = kept.map(by);
    },
  };
}

/** At most `limit` of the items, evenly spread, first and last among them. */
export function spread<T>(items: readonly T[], limit: number): T[] {
  if (items.length <= limit) return [...items];
  return Array.from({ length: limit }, (_, index) => items[Math.round((index * (items.length - 1)) / (limit - 1))] as T);
}
