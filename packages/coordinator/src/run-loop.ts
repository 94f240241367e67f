// One run: inputs are decided one after another, their events chained, folded and stored, and only then do their effects show.
// Memory is always ahead of the disk by what is under way; when the disk fails, memory is thrown away and folded again from what is stored.
import { appendRecords, emptyHead, headAfter, type LedgerHead } from "@weft/ledger";
import { type LedgerEvent, type LedgerRecord, type Refusal, type RunId, refuse } from "@weft/protocol";
import { type LedgerStore, StorageFault } from "@weft/storage";
import { DURABLE, decide, type Effect, evolve, type Input, initialState, type ReadonlyRun, type RunState } from "@weft/training";
import { MAX_QUEUED_INPUTS, RETRY_FIRST_MS, RETRY_LONGEST_MS } from "./limits.ts";
import type { CoordinatorClock, CoordinatorKey } from "./ports.ts";

export type Submitted =
  | { readonly ok: true; readonly effects: readonly Effect[]; readonly events: readonly LedgerEvent[]; readonly reason: string }
  | Refusal;

export interface RunLoopOptions {
  readonly store: LedgerStore;
  readonly key: CoordinatorKey;
  readonly clock: CoordinatorClock;
  readonly log: (line: string) => void;
  /** Called for each record in order, from the first of the ledger on, when it is folded (before it is on disk). */
  readonly onRecord: (record: LedgerRecord) => void;
  /** The ledger is folded from its beginning again: whoever keeps something of it starts anew. */
  readonly onRestart: () => void;
  /** Called in the order of decisions, after everything decided so far is stored as its events demand. */
  readonly onEffects: (effects: readonly Effect[], reason: string) => void;
}

interface Fault {
  readonly code: StorageFault["code"];
  readonly message: string;
  readonly attempts: number;
  readonly retryAtMs: number;
}

export class RunLoop {
  readonly run: RunId;
  readonly #options: RunLoopOptions;
  #state: RunState | null = null;
  /** The last state that was whole: what is shown while the ledger is folded again. Null at other times. */
  #shown: RunState | null = null;
  #folding = false;
  #head: LedgerHead;
  #lastMs = 0;
  /** By how much the ledger was ahead of the clock when it was opened. */
  #aheadMs = 0;
  /** Kind of the last thing that was waited for, as it stands in the log. */
  #waitsFor = "";
  #fault: Fault | null = null;
  /** Appends that storage has not answered yet. */
  readonly #pending = new Set<Promise<unknown>>();
  /** Resolves when the effects of everything decided so far have been handed out. Never rejects. */
  #tail: Promise<void> = Promise.resolve();
  #queued = 0;

  constructor(run: RunId, options: RunLoopOptions) {
    this.run = run;
    this.#options = options;
    this.#head = emptyHead(run);
  }

  get state(): ReadonlyRun {
    const state = this.#folding ? this.#state : (this.#shown ?? this.#state);
    if (state === null) throw new Error(`run ${this.run} is not open`);
    return state;
  }
  get isOpen(): boolean {
    return this.#state !== null && this.#shown === null;
  }
  get head(): LedgerHead {
    return this.#head;
  }
  /** Resolves when everything decided so far is stored as its events demand, or has failed to be. Never rejects. */
  get told(): Promise<void> {
    return this.#tail;
  }
  /** Inputs that are decided and not yet stored. */
  get queuedInputs(): number {
    return this.#queued;
  }
  get fault(): { readonly code: StorageFault["code"]; readonly message: string } | null {
    return this.#fault;
  }

  /** Folds the stored ledger. Rejects with a StorageFault; a ledger that no coordinator can have written is "damaged". */
  async open(): Promise<void> {
    this.#shown ??= this.#state;
    this.#state = null;
    this.#head = emptyHead(this.run);
    this.#options.onRestart();
    for await (const record of this.#options.store.read(this.run)) {
      if (record.seq !== this.#head.seq + 1)
        throw new StorageFault("damaged", `the ledger of run ${this.run} has record ${record.seq} after record ${this.#head.seq}`);
      try {
        this.#fold(record);
      } catch (error) {
        throw new StorageFault("damaged", `the ledger of run ${this.run} is damaged at record ${record.seq}: ${messageOf(error)}`);
      }
    }
    if (this.#state === null) throw new StorageFault("damaged", `the ledger of run ${this.run} is empty`);
    this.#shown = null;
    // Once ahead, ahead for as long as this process runs: opened again after a fault, time goes on as it went.
    this.#aheadMs = Math.max(this.#aheadMs, this.#lastMs - Math.floor(this.#options.clock.now()));
  }

  /** The first record of a new ledger. Rejects with a StorageFault, and then the run does not exist. */
  async create(event: Extract<LedgerEvent, { type: "run-created" }>): Promise<void> {
    const records = appendRecords(this.#head, [event], this.now(), (domain, value) => this.#options.key.sign(domain, value));
    await this.#options.store.append(this.run, records, "durable");
    for (const record of records) this.#fold(record);
  }

  /** Decides at once; resolves when the decision is stored and its effects were handed out. Never rejects. */
  submit(input: Input): Promise<Submitted> {
    if (this.#fault !== null || this.#state === null) return Promise.resolve(this.#refusal());
    if (this.#queued >= MAX_QUEUED_INPUTS) return Promise.resolve(refuse("unavailable", "storage does not keep up", 2_000));
    const nowMs = this.now();
    const { events, effects, reason } = decide(this.#state, input, nowMs);
    const records = appendRecords(this.#head, events, nowMs, (domain, value) => this.#options.key.sign(domain, value));
    for (const record of records) this.#fold(record);
    this.#tell(reason, events.length > 0);
    const durable = events.some(({ type }) => DURABLE.has(type));
    const stored = records.length === 0 ? Promise.resolve() : this.#append(records, durable);
    this.#queued += 1;
    const earlier = this.#tail;
    const result = (async (): Promise<Submitted> => {
      await earlier;
      if (durable) await stored;
      this.#queued -= 1;
      if (this.#fault !== null) return this.#refusal();
      this.#options.onEffects(effects, reason);
      return { ok: true, effects, events, reason };
    })();
    this.#tail = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  /** Opens the ledger again after a storage failure, when it is time. True when the run is whole again after having failed. */
  async heal(): Promise<boolean> {
    const fault = this.#fault;
    if (fault === null || this.#options.clock.now() < fault.retryAtMs) return false;
    await this.idle();
    try {
      await this.open();
      // What storage refused and kept may still wait for the disk: nobody is shown a state that a crash could take back.
      await this.#options.store.append(this.run, [], "durable");
    } catch (error) {
      this.#fault = this.#nextFault(error);
      return false;
    }
    this.#fault = null;
    this.#options.log(`${this.run}: storage answers again; continuing at record ${this.#head.seq}`);
    return true;
  }

  /** Resolves when everything decided so far is stored (or has failed to be) and its effects were handed out. */
  async idle(): Promise<void> {
    await Promise.all(this.#pending);
    await this.#tail;
  }

  /** What happened is logged each time; what is waited for only when it is something else, not each second that it counts down. */
  #tell(reason: string, happened: boolean): void {
    const kind = reason.replace(/\d[\d,]*/g, "#");
    if (!happened && kind === this.#waitsFor) return;
    if (!happened) this.#waitsFor = kind;
    this.#options.log(`${this.run}: ${reason}`);
  }

  #fold(record: LedgerRecord): void {
    this.#folding = true;
    try {
      this.#foldOne(record);
    } finally {
      this.#folding = false;
    }
  }
  /** Who hears of the record sees the state that it made. */
  #foldOne(record: LedgerRecord): void {
    const { event, atMs } = record;
    if (this.#state !== null) this.#state = evolve(this.#state, event, atMs);
    else if (event.type === "run-created") this.#state = initialState(event, atMs);
    else throw new Error(`it begins with ${event.type}`);
    this.#head = headAfter(this.run, record);
    this.#lastMs = atMs;
    this.#options.onRecord(record);
  }

  /** Never rejects: a failure becomes the run's fault. */
  #append(records: readonly LedgerRecord[], durable: boolean): Promise<void> {
    const stored = this.#options.store.append(this.run, records, durable ? "durable" : "buffered").catch((error: unknown) => {
      if (this.#fault !== null) return;
      this.#fault = this.#nextFault(error);
      this.#options.log(
        `${this.run}: storage failed (${this.#fault.code}): ${this.#fault.message}. The run takes nothing until it answers again.`,
      );
    });
    this.#pending.add(stored);
    void stored.then(() => this.#pending.delete(stored));
    return stored;
  }

  #nextFault(error: unknown): Fault {
    const attempts = (this.#fault?.attempts ?? -1) + 1;
    const waitMs = Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** Math.min(attempts, 16));
    const code = error instanceof StorageFault ? error.code : "unavailable";
    return { code, message: messageOf(error), attempts, retryAtMs: this.#options.clock.now() + waitMs };
  }

  #refusal(): Refusal {
    const fault = this.#fault;
    return refuse(fault?.code ?? "unavailable", `the coordinator cannot store: ${fault?.message ?? "the run is being opened"}`, 5_000);
  }

  /** The run's time: the clock's, or where that was behind the ledger at the opening, the ledger's last and what has passed since then. */
  now(): number {
    return Math.max(this.#lastMs, Math.floor(this.#options.clock.now()) + this.#aheadMs);
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
