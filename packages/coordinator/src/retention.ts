// Which contributions' bytes a run may let go: those of versions older than its specification keeps, and those that came and were not
// admitted. The same bytes may answer two leases, so each name is counted by who needs it. Folded from the ledger; knows no storage's inside.
import { type EventOf, keptVersions, type LedgerRecord, type Sha256 } from "@weft/protocol";

export class Retention {
  readonly #drop: (names: readonly Sha256[]) => Promise<void>;
  /** Versions whose contributions are kept; Infinity: nothing is ever let go. */
  #kept = Number.POSITIVE_INFINITY;
  /** How many admitted contributions that are kept have these bytes. */
  readonly #needed = new Map<Sha256, number>();
  /** How many uploads with these bytes are being taken in: stored perhaps, and not yet decided. */
  readonly #held = new Map<Sha256, number>();
  /** Oldest version first; its contributions, and those that a roll-back to it gave up. */
  readonly #versions: { readonly version: number; readonly names: readonly Sha256[] }[] = [];
  #open: Sha256[] = [];
  #isClosing = false;
  #due = new Set<Sha256>();
  #dropping: { readonly names: ReadonlySet<Sha256>; readonly done: Promise<void> } | null = null;

  constructor(drop: (names: readonly Sha256[]) => Promise<void>) {
    this.#drop = drop;
  }

  onRecord({ event }: LedgerRecord): void {
    switch (event.type) {
      case "run-created":
        this.#kept = keptVersions(event.spec);
        return;
      case "contribution-admitted":
        if (!this.#lets) return;
        add(this.#needed, event.header.sha256, 1);
        this.#open.push(event.header.sha256);
        return;
      case "round-closing":
        this.#isClosing = true;
        return;
      case "version-published":
      case "run-rolled-back":
        if (this.#lets) this.#close(event);
        return;
      default:
    }
  }

  /** The ledger is folded anew. Uploads that are being taken in are still there. */
  clear(): void {
    this.#needed.clear();
    this.#versions.length = 0;
    this.#open = [];
    this.#isClosing = false;
    this.#due.clear();
  }

  /** Before bytes are stored that may be admitted. Waits while the same bytes are on their way out. */
  async hold(name: Sha256): Promise<void> {
    add(this.#held, name, 1);
    while (this.#dropping?.names.has(name)) await this.#dropping.done;
  }

  /** It is decided whether they count, and what was decided is in the ledger. */
  release(name: Sha256): void {
    if (add(this.#held, name, -1) === 0) this.#offer(name);
  }

  /** Lets go what may be missing once `version` is on disk. What storage refuses is tried again with the next call. Never rejects. */
  async sweep(version: number): Promise<void> {
    for (let oldest = this.#versions[0]; oldest !== undefined && oldest.version <= version - this.#kept; oldest = this.#versions[0]) {
      this.#versions.shift();
      for (const name of oldest.names) if (add(this.#needed, name, -1) === 0) this.#offer(name);
    }
    if (this.#dropping !== null) return this.#dropping.done;
    const names = [...this.#due].filter((name) => !this.#isNeeded(name));
    this.#due.clear();
    if (names.length === 0) return;
    const done = this.#drop(names)
      .catch(() => {
        for (const name of names) this.#due.add(name);
      })
      .finally(() => {
        this.#dropping = null;
      });
    this.#dropping = { names: new Set(names), done };
    await done;
  }

  get #lets(): boolean {
    return this.#kept !== Number.POSITIVE_INFINITY;
  }

  /** All that were open go with the version; where its round named those with which it closes, the others wait for their own. */
  #close({ version, ...event }: EventOf<"version-published" | "run-rolled-back">): void {
    const names = event.type === "version-published" && this.#isClosing ? this.#take(event.contributions) : this.#open.splice(0);
    this.#isClosing = false;
    this.#versions.push({ version, names });
  }

  #take(contributions: EventOf<"version-published">["contributions"]): Sha256[] {
    const wanted = new Map<Sha256, number>();
    for (const { sha256 } of contributions) add(wanted, sha256, 1);
    const names: Sha256[] = [];
    this.#open = this.#open.filter((name) => {
      if (!wanted.has(name)) return true;
      add(wanted, name, -1);
      names.push(name);
      return false;
    });
    return names;
  }

  #offer(name: Sha256): void {
    if (this.#lets && !this.#isNeeded(name)) this.#due.add(name);
  }

  #isNeeded(name: Sha256): boolean {
    return this.#needed.has(name) || this.#held.has(name);
  }
}

/** The count after it. Entries of nothing are not kept. */
function add(counts: Map<Sha256, number>, name: Sha256, by: 1 | -1): number {
  const count = (counts.get(name) ?? 0) + by;
  if (count > 0) counts.set(name, count);
  else counts.delete(name);
  return count;
}
