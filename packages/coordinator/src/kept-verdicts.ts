// What became of uploads, for a sender that lost its acknowledgement: the newest ones, a bounded number. Knows no uploads.
import type { ChunkReply, Result } from "@weft/protocol";

export interface Kept {
  readonly volunteer: string;
  readonly chunks: number;
  /** Null: nothing was decided on, and the same bytes may be sent again from the first on. */
  readonly sha256: string | null;
  readonly verdict: Result<ChunkReply>;
}

export class KeptVerdicts {
  readonly #most: number;
  /** Oldest first. */
  readonly #kept = new Map<string, Kept>();

  constructor(most: number) {
    this.#most = most;
  }
  get size(): number {
    return this.#kept.size;
  }
  get(key: string): Kept | undefined {
    return this.#kept.get(key);
  }
  delete(key: string): void {
    this.#kept.delete(key);
  }
  keep(key: string, kept: Kept): void {
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    if (this.#kept.size <= this.#most) return;
    const oldest = this.#kept.keys().next().value;
    if (oldest !== undefined) this.#kept.delete(oldest);
  }
}
