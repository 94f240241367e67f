// Notices of work to one session: at most a few a second, and those beyond wait as one for each run. Knows no clock and no connection.
import type { RunId, WorkNotice } from "@weft/protocol";
import { MAX_WORK_NOTICES_PER_SECOND } from "./limits.ts";

export class WorkNotices {
  readonly #send: (notice: WorkNotice) => void;
  /** When the newest were sent, oldest first; never more than may be sent in a second. */
  #sentMs: number[] = [];
  readonly #waiting = new Map<RunId, WorkNotice>();

  constructor(send: (notice: WorkNotice) => void) {
    this.#send = send;
  }

  add(notice: WorkNotice, nowMs: number): void {
    this.#waiting.set(notice.run, notice);
    this.flush(nowMs);
  }

  /** Sends what waited and may be sent now; to be called often. */
  flush(nowMs: number): void {
    for (const [run, notice] of this.#waiting) {
      this.#sentMs = this.#sentMs.filter((atMs) => nowMs - atMs < 1_000);
      if (this.#sentMs.length >= MAX_WORK_NOTICES_PER_SECOND) return;
      this.#sentMs.push(nowMs);
      this.#waiting.delete(run);
      this.#send(notice);
    }
  }
}
