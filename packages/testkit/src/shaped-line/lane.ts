// One direction of a line of limited speed: what is sent waits until the line is free, takes its time on it, and arrives a delay later, in
// order. Time is a parameter; knows no socket.

/** Time that passes and wakes. */
export interface LaneClock {
  now(): number;
  /** Calls `then` after `ms`, or later: what is late does not make the line slower. */
  after(ms: number, then: () => void): unknown;
}

export interface LaneConditions {
  readonly bitsPerSecond: number;
  /** One way. */
  readonly delayMs: number;
}

interface Parcel {
  readonly arrivesMs: number;
  readonly deliver: () => void;
}

export class Lane {
  readonly #clock: LaneClock;
  readonly #conditions: LaneConditions;
  readonly #parcels: Parcel[] = [];
  #freeAtMs = Number.NEGATIVE_INFINITY;
  #carriedBytes = 0;
  /** Whether somebody will call when the first parcel is due. */
  #awaited = false;

  constructor(clock: LaneClock, conditions: LaneConditions) {
    if (!(conditions.bitsPerSecond > 0) || !(conditions.delayMs >= 0))
      throw new Error("a line needs a speed above 0 and no negative delay");
    this.#clock = clock;
    this.#conditions = conditions;
  }

  /** Sent so far, whether it has arrived or not. */
  get carriedBytes(): number {
    return this.#carriedBytes;
  }

  /** Bytes that are on their way at most, at full speed, without waiting for the line. */
  get onTheWayBytes(): number {
    return Math.ceil((this.#conditions.bitsPerSecond / 8_000) * this.#conditions.delayMs);
  }

  /** Calls `deliver` when the last of `sizeBytes` has arrived; 0: when all that was sent before has. */
  send(sizeBytes: number, deliver: () => void): void {
    const { bitsPerSecond, delayMs } = this.#conditions;
    this.#freeAtMs = Math.max(this.#freeAtMs, this.#clock.now()) + (8_000 * sizeBytes) / bitsPerSecond;
    this.#carriedBytes += sizeBytes;
    this.#parcels.push({ arrivesMs: this.#freeAtMs + delayMs, deliver });
    this.#await();
  }

  #await(): void {
    const first = this.#parcels[0];
    if (first === undefined || this.#awaited) return;
    this.#awaited = true;
    this.#clock.after(Math.max(0, first.arrivesMs - this.#clock.now()), () => {
      this.#awaited = false;
      // Timers of a real clock wake a little early at times.
      for (let next = this.#parcels[0]; next !== undefined && next.arrivesMs <= this.#clock.now(); next = this.#parcels[0]) {
        this.#parcels.shift();
        next.deliver();
      }
      this.#await();
    });
  }
}
