// Totals since start, by name: what a metrics page reads. Names come from the code's own lists, never from a message.
export class Counters {
  readonly #totals = new Map<string, number>();

  add(name: string, by = 1): void {
    this.#totals.set(name, (this.#totals.get(name) ?? 0) + by);
  }

  get(name: string): number {
    return this.#totals.get(name) ?? 0;
  }

  all(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#totals].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
