// Which uploads may send now: a bounded number, in all and from one address, in the order in which they asked. Who waits is told when to
// ask again and keeps its turn until then. Knows no bytes and no clock; the caller says what time it is.
import {
  MAX_WAITING_UPLOADS,
  PLACE_KEPT_MS,
  PLACE_WAIT_BYTES_PER_MS,
  PLACE_WAIT_EACH_MS,
  PLACE_WAIT_LONGEST_MS,
  PLACE_WAIT_MS,
  UPLOAD_STALLED_MS,
} from "./limits.ts";

export interface PlaceLimits {
  readonly receivingUploads: number;
  readonly receivingPerAddress: number;
}

interface Holder {
  readonly address: string;
  progressMs: number;
}
interface Waiting {
  readonly address: string;
  /** Its turn is kept until then. */
  readonly untilMs: number;
}

export class UploadPlaces {
  readonly #limits: PlaceLimits;
  /** An upload lost its place to those that wait. */
  readonly #lost: (key: string) => void;
  readonly #held = new Map<string, Holder>();
  readonly #heldFrom = new Map<string, number>();
  /** In the order in which they asked first. */
  readonly #waiting = new Map<string, Waiting>();

  constructor(limits: PlaceLimits, lost: (key: string) => void) {
    this.#limits = limits;
    this.#lost = lost;
  }

  holds(key: string): boolean {
    return this.#held.has(key);
  }

  /** 0 when the upload has a place now, else the milliseconds after which to ask again. */
  take(key: string, address: string, sizeBytes: number, nowMs: number): number {
    if (this.#held.has(key)) return 0;
    for (const [waiting, { untilMs }] of this.#waiting) if (untilMs < nowMs) this.#waiting.delete(waiting);
    const isFree = (): boolean => this.#held.size < this.#limits.receivingUploads && this.#from(address) < this.#limits.receivingPerAddress;
    if (!isFree()) this.#endStalled(nowMs);
    let ahead = 0;
    let aheadHere = 0;
    for (const [waiting, { address: other }] of this.#waiting) {
      if (waiting === key) break;
      if (other === address) aheadHere += 1;
      // Somebody who waits for a place of its own address keeps nobody of another from a free one.
      if (other === address || this.#from(other) < this.#limits.receivingPerAddress) ahead += 1;
    }
    const { receivingUploads, receivingPerAddress } = this.#limits;
    if (this.#held.size + ahead < receivingUploads && this.#from(address) + aheadHere < receivingPerAddress) {
      this.#waiting.delete(key);
      this.#held.set(key, { address, progressMs: nowMs });
      this.#heldFrom.set(address, this.#from(address) + 1);
      return 0;
    }
    const waitMs = Math.floor(
      Math.min(PLACE_WAIT_LONGEST_MS, PLACE_WAIT_MS + sizeBytes / PLACE_WAIT_BYTES_PER_MS + ahead * PLACE_WAIT_EACH_MS),
    );
    if (this.#waiting.has(key) || this.#waiting.size < MAX_WAITING_UPLOADS)
      this.#waiting.set(key, { address, untilMs: nowMs + waitMs + PLACE_KEPT_MS });
    return waitMs;
  }

  /** Bytes that were wanted have come. */
  progress(key: string, nowMs: number): void {
    const holder = this.#held.get(key);
    if (holder !== undefined) holder.progressMs = nowMs;
  }

  /** The place, or the turn in the line, is free for others. */
  leave(key: string): void {
    this.#waiting.delete(key);
    const holder = this.#held.get(key);
    if (holder === undefined) return;
    this.#held.delete(key);
    const left = this.#from(holder.address) - 1;
    if (left > 0) this.#heldFrom.set(holder.address, left);
    else this.#heldFrom.delete(holder.address);
  }

  #endStalled(nowMs: number): void {
    for (const [key, { progressMs }] of [...this.#held])
      if (nowMs - progressMs >= UPLOAD_STALLED_MS) {
        this.leave(key);
        this.#lost(key);
      }
  }

  #from(address: string): number {
    return this.#heldFrom.get(address) ?? 0;
  }
}
