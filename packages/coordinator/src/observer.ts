// What one watching page is sent: a snapshot, then patches with what changed, at most five a second. Keeps only what it sent last, so a
// page that is slow, or many changes at once, cost nothing: they become one patch. Knows no sockets.
import { type DetailAppend, OBSERVER_PATCH_MS, type Patch, type RunDetail, type RunSummary, type Snapshot } from "@weft/protocol";
import type { CoordinatorApi } from "./api.ts";

export type SendToObserver = (event: "snapshot" | "patch", payload: Snapshot | Patch) => void;

/** Rates and progress move without an event; they are looked at again after this long. */
const QUIET_MS = 1_000;

/** Lists that only grow at their end; of these a page is sent the new tail. */
const TAILS = ["versionPoints", "evaluations", "cloth", "log", "rejections"] as const satisfies readonly (keyof DetailAppend)[];
type Tail = (typeof TAILS)[number];
const isTail = (key: string): key is Tail => (TAILS as readonly string[]).includes(key);

export class ObserverFeed {
  readonly #coordinator: Pick<CoordinatorApi, "runs" | "detail" | "subscribe" | "volunteersNow">;
  readonly #send: SendToObserver;
  readonly #isReady: () => boolean;
  readonly #unsubscribe: () => void;
  #watched: string | null = null;
  #runs = new Map<string, RunSummary>();
  #detail: RunDetail | null = null;
  #volunteersNow = 0;
  #watching = false;
  #changed = false;
  #sentMs = Number.NEGATIVE_INFINITY;

  /** `isReady` is false while the page has not taken what was sent: then changes wait and become one patch. */
  constructor(
    coordinator: Pick<CoordinatorApi, "runs" | "detail" | "subscribe" | "volunteersNow">,
    send: SendToObserver,
    isReady: () => boolean = () => true,
  ) {
    this.#coordinator = coordinator;
    this.#send = send;
    this.#isReady = isReady;
    this.#unsubscribe = coordinator.subscribe(() => {
      this.#changed = true;
    });
  }

  /** Sends a snapshot at once; a run that does not exist is watched as none. Its answer is whether it exists. */
  watch(run: string | null, nowMs: number): boolean {
    const detail = run === null ? null : this.#coordinator.detail(run);
    const runs = this.#coordinator.runs();
    this.#watched = detail === null ? null : run;
    this.#detail = detail;
    this.#runs = new Map(runs.map((summary) => [summary.run, summary]));
    this.#watching = true;
    this.#changed = false;
    this.#sentMs = nowMs;
    this.#volunteersNow = this.#coordinator.volunteersNow();
    const snapshot: Snapshot = { atMs: nowMs, volunteersNow: this.#volunteersNow, runs, detail };
    this.#send("snapshot", snapshot);
    return run === null || detail !== null;
  }

  /** To be called often (every 50 to 200 ms); sends a patch when there is something new, the page is ready, and the last is old enough. */
  flush(nowMs: number): void {
    if (!this.#watching) return;
    const quietMs = nowMs - this.#sentMs;
    if (quietMs < OBSERVER_PATCH_MS || (!this.#changed && quietMs < QUIET_MS)) return;
    if (!this.#isReady()) return;
    this.#changed = false;
    this.#sentMs = nowMs;
    const runs = this.#coordinator.runs().filter((summary) => !isSame(summary, this.#runs.get(summary.run)));
    for (const summary of runs) this.#runs.set(summary.run, summary);
    const next = this.#watched === null ? null : this.#coordinator.detail(this.#watched);
    const { detail, append } = difference(this.#detail, next);
    this.#detail = next;
    const volunteersNow = this.#coordinator.volunteersNow();
    if (runs.length === 0 && detail === null && append === null && volunteersNow === this.#volunteersNow) return;
    this.#volunteersNow = volunteersNow;
    const patch: Patch = { atMs: nowMs, volunteersNow, runs, detail, append };
    this.#send("patch", patch);
  }

  close(): void {
    this.#watching = false;
    this.#unsubscribe();
  }
}

/** What a page that has `before` needs in order to have `after`. */
export function difference(before: RunDetail | null, after: RunDetail | null): Pick<Patch, "detail" | "append"> {
  if (before === null || after === null || before === after) return { detail: after === before ? null : after, append: null };
  const detail: Record<string, unknown> = {};
  const append: Record<string, unknown> = {};
  for (const key of Object.keys(after) as (keyof RunDetail)[]) {
    if (isTail(key)) {
      const tail = newTail<unknown>(before[key], after[key]);
      if (tail === null) detail[key] = after[key];
      else if (tail.length > 0) append[key] = tail;
    } else if (!isSame(before[key], after[key])) detail[key] = after[key];
  }
  return {
    detail: Object.keys(detail).length === 0 ? null : (detail as Partial<RunDetail>),
    append: Object.keys(append).length === 0 ? null : (append as DetailAppend),
  };
}

/**
 * What came after `before`'s last item where `after` still holds `before`'s items in order, perhaps without the oldest; null where it
 * does not (a list that was thinned, or a changed item): then it is sent whole. A page keeps a bounded list of its own.
 */
function newTail<T>(before: readonly T[], after: readonly T[]): readonly T[] | null {
  if (before.length === 0) return after.length === 0 ? [] : null;
  const last = before.at(-1);
  let at = after.length - 1;
  while (at >= 0 && !isSame(after[at], last)) at -= 1;
  const kept = at + 1;
  if (kept === 0 || kept > before.length) return null;
  // Thinning leaves gaps, and going back marks what is undone: each that is kept must stand where it stood, as it was.
  const from = before.length - kept;
  for (let index = 0; index < kept; index += 1) if (!isSame(after[index], before[from + index])) return null;
  return after.slice(kept);
}

/** Equal as data. Projections keep unchanged parts by reference, so the comparison mostly ends at once. */
function isSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, index) => isSame(item, b[index]));
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const names = Object.keys(left);
  return names.length === Object.keys(right).length && names.every((name) => isSame(left[name], right[name]));
}
