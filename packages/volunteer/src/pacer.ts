// Keeps what a volunteer says under the coordinator's bound on messages a second, by waiting rather than by being refused. Knows no message.
import { MAX_MESSAGES_PER_SECOND } from "@weft/protocol";

/** Four fifths of the bound: clocks differ, and a reconnect says more at once. */
const EVERY_MS = 1000 / (0.8 * MAX_MESSAGES_PER_SECOND);
/** Messages that may go without a wait after a silence. */
const BURST = 40;

export class Pacer {
  #nextAtMs = Number.NEGATIVE_INFINITY;

  /** How long the next message has to wait; it counts as sent. Waits never overtake one another. */
  waitMs(now: number): number {
    this.#nextAtMs = Math.max(this.#nextAtMs, now - BURST * EVERY_MS) + EVERY_MS;
    return Math.max(0, this.#nextAtMs - now);
  }
}
