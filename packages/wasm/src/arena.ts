// Places in linear memory: blocks of whole 16 bytes, the best fit first, neighbours merged when they are free. What it cannot serve it asks
// of its source, which may be another arena. Knows addresses alone, not what lies there.

/** Address of so many more bytes. Throws where there are none. */
export type Source = (sizeBytes: number) => number;

interface Block {
  readonly at: number;
  readonly sizeBytes: number;
}

const ALIGNMENT = 16;

export class Arena {
  readonly #source: Source;
  /** By address. */
  readonly #free: Block[] = [];
  readonly #used = new Map<number, number>();
  readonly #sourced: number[] = [];
  #usedBytes = 0;

  constructor(source: Source) {
    this.#source = source;
  }

  /** Bytes in blocks that were given out and not taken back. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** What was asked of the source: the arena's whole extent. */
  get sourced(): readonly number[] {
    return this.#sourced;
  }

  allocate(sizeBytes: number): number {
    const whole = Math.max(ALIGNMENT, Math.ceil(sizeBytes / ALIGNMENT) * ALIGNMENT);
    const at = this.#fromFree(whole) ?? this.#fromSource(whole);
    this.#used.set(at, whole);
    this.#usedBytes += whole;
    return at;
  }

  /** Throws for an address that it did not give out. */
  release(at: number): void {
    const sizeBytes = this.#used.get(at);
    if (sizeBytes === undefined) throw new Error(`There is no block at ${at}`);
    this.#used.delete(at);
    this.#usedBytes -= sizeBytes;
    let index = this.#free.findIndex((block) => block.at > at);
    if (index < 0) index = this.#free.length;
    const before = this.#free[index - 1];
    const after = this.#free[index];
    const joinsBefore = before !== undefined && before.at + before.sizeBytes === at;
    const joinsAfter = after !== undefined && at + sizeBytes === after.at;
    const start = joinsBefore ? before.at : at;
    const end = joinsAfter ? after.at + after.sizeBytes : at + sizeBytes;
    const from = joinsBefore ? index - 1 : index;
    this.#free.splice(from, (joinsBefore ? 1 : 0) + (joinsAfter ? 1 : 0), { at: start, sizeBytes: end - start });
  }

  #fromFree(sizeBytes: number): number | null {
    let best = -1;
    for (const [index, block] of this.#free.entries())
      if (block.sizeBytes >= sizeBytes && (best < 0 || block.sizeBytes < (this.#free[best] as Block).sizeBytes)) best = index;
    const block = this.#free[best];
    if (block === undefined) return null;
    const rest = block.sizeBytes - sizeBytes;
    this.#free.splice(best, 1, ...(rest > 0 ? [{ at: block.at + sizeBytes, sizeBytes: rest }] : []));
    return block.at;
  }

  #fromSource(sizeBytes: number): number {
    const at = this.#source(sizeBytes);
    this.#sourced.push(at);
    return at;
  }
}
