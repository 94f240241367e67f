// Made-up time: what is to happen when, one thing after another. Knows not what.

interface Planned {
  readonly atMs: number;
  readonly order: number;
  readonly act: () => Promise<void>;
}

export class Timeline {
  #nowMs = 0;
  #planned: Planned[] = [];
  #count = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** What is planned for the same time happens in the order of planning. */
  at(atMs: number, act: () => Promise<void>): void {
    this.#planned.push({ atMs: Math.max(atMs, this.#nowMs), order: this.#count, act });
    this.#count += 1;
  }

  /** The next act, at its time; false where nothing is planned. */
  async next(): Promise<boolean> {
    const [first, ...rest] = this.#planned.toSorted((a, b) => a.atMs - b.atMs || a.order - b.order);
    if (first === undefined) return false;
    this.#planned = rest;
    this.#nowMs = first.atMs;
    await first.act();
    return true;
  }
}
