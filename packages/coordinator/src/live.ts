// Facts of now that no ledger holds: how far each lease is, what a volunteer says of its speed and its time, and rates over the last minute.
// Gone after a restart, and nothing depends on them but what is shown.
import type { LedgerRecord, RunRates, SpentMs } from "@weft/protocol";

const WINDOW_MS = 60_000;
const BUCKETS = 60;
const BUCKET_MS = WINDOW_MS / BUCKETS;

/** A sum over the last minute in one-second buckets. */
class Window {
  readonly #sums = new Float64Array(BUCKETS);
  #newest = 0;

  add(atMs: number, value: number): void {
    this.#roll(atMs);
    const index = Math.floor(atMs / BUCKET_MS);
    if (index > this.#newest - BUCKETS) this.#sums[index % BUCKETS] = (this.#sums[index % BUCKETS] ?? 0) + value;
  }

  sum(nowMs: number): number {
    this.#roll(nowMs);
    return this.#sums.reduce((total, value) => total + value, 0);
  }

  #roll(nowMs: number): void {
    const index = Math.floor(nowMs / BUCKET_MS);
    if (index <= this.#newest) return;
    const steps = Math.min(BUCKETS, index - this.#newest);
    for (let step = 0; step < steps; step += 1) this.#sums[(index - step) % BUCKETS] = 0;
    this.#newest = index;
  }
}

export class Live {
  readonly #versions = new Window();
  readonly #samples = new Window();
  readonly #bytesIn = new Window();
  readonly #bytesOut = new Window();
  readonly #progress = new Map<string, number>();
  /** Leases with which the round closes, where it said so. */
  #closing: ReadonlySet<string> | null = null;
  /** Samples a second, as the volunteer measured. */
  readonly #speeds = new Map<string, number>();
  /** On what its time went, as the volunteer says. */
  readonly #spent = new Map<string, SpentMs>();
  #firstMs: number;
  /** Counts changes, so that a view knows when it is old. */
  changes = 0;

  constructor(nowMs: number) {
    this.#firstMs = nowMs;
  }

  /** Rates are of the time from here on. */
  since(nowMs: number): void {
    this.#firstMs = nowMs;
  }

  onRecord({ event, atMs }: LedgerRecord): void {
    this.changes += 1;
    if (event.type === "version-published") {
      this.#versions.add(atMs, 1);
      this.#endLeases();
    } else if (event.type === "round-closing") {
      this.#closing = new Set(event.leases);
    } else if (event.type === "run-rolled-back") {
      this.#closing = null;
      this.#progress.clear();
    } else if (event.type === "contribution-admitted") {
      this.#samples.add(atMs, event.header.samples);
      this.#bytesIn.add(atMs, event.header.sizeBytes);
    }
  }

  /** All go with their round, but for those that it did not name when it closed. */
  #endLeases(): void {
    const closing = this.#closing;
    if (closing === null) this.#progress.clear();
    else for (const key of this.#progress.keys()) if (closing.has(key.slice(0, key.indexOf("/")))) this.#progress.delete(key);
    this.#closing = null;
  }

  noteBytesOut(atMs: number, bytes: number): void {
    this.#bytesOut.add(atMs, bytes);
    this.changes += 1;
  }

  progress(lease: string, attempt: number, part: number): void {
    this.#progress.set(`${lease}/${attempt}`, part);
    this.changes += 1;
  }
  progressOf(lease: string, attempt: number): number {
    return this.#progress.get(`${lease}/${attempt}`) ?? 0;
  }

  speed(volunteer: string, samplesPerSecond: number): void {
    this.#speeds.set(volunteer, samplesPerSecond);
  }
  speedOf(volunteer: string): number | null {
    return this.#speeds.get(volunteer) ?? null;
  }
  spent(volunteer: string, spentMs: SpentMs): void {
    this.#spent.set(volunteer, spentMs);
    this.changes += 1;
  }
  spentOf(volunteer: string): SpentMs | null {
    return this.#spent.get(volunteer) ?? null;
  }
  forget(volunteer: string): void {
    this.#speeds.delete(volunteer);
    this.#spent.delete(volunteer);
  }

  /** Over the last minute, or the time since this object was made where that is shorter (at least 5 s). */
  rates(nowMs: number, versionsLeft: number): RunRates {
    const spanMs = Math.min(WINDOW_MS, Math.max(5_000, nowMs - this.#firstMs));
    const perSecond = (window: Window): number => (window.sum(nowMs) * 1_000) / spanMs;
    const versionsPerMinute = perSecond(this.#versions) * 60;
    return {
      versionsPerMinute,
      samplesPerSecond: perSecond(this.#samples),
      bytesInPerSecond: perSecond(this.#bytesIn),
      bytesOutPerSecond: perSecond(this.#bytesOut),
      remainingMs: versionsPerMinute > 0 ? Math.round((versionsLeft * 60_000) / versionsPerMinute) : null,
    };
  }
}
