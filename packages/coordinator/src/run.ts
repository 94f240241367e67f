// One run with everything around its loop: its specification and data set as blobs, its owed work, its live facts, its views.
// Knows nothing of connections; what concerns them goes to the host.
import { canonicalBytes } from "@weft/ledger";
import type { Assignment, BlobRef, CodecName, DatasetManifest, LedgerRecord, RunId, RunSpec } from "@weft/protocol";
import { StorageFault } from "@weft/storage";
import { codecNamed } from "@weft/tensors";
import { type AssignmentGiven, bookOf, type CloseRound, type Effect, type Input, openAssignmentsOf } from "@weft/training";
import type { CoordinatorOptions } from "./api.ts";
import { CheckpointRecords } from "./checkpoint-records.ts";
import type { Counters } from "./counters.ts";
import { VISIT_MS } from "./limits.ts";
import { Live } from "./live.ts";
import { readManifest } from "./manifest.ts";
import type { Member } from "./member.ts";
import { OwedWork } from "./owed-work.ts";
import type { ClosedRound } from "./ports.ts";
import { Retention } from "./retention.ts";
import { isForGood } from "./round-blobs.ts";
import { messageOf, RunLoop, type Submitted } from "./run-loop.ts";
import { RunView } from "./run-view.ts";
import { Verdicts } from "./verdicts.ts";

export interface RunHost {
  readonly options: Pick<CoordinatorOptions, "storage" | "compute" | "key" | "clock">;
  readonly counters: Counters;
  log(line: string): void;
  /** One more record of this run, new or folded again at opening. */
  recorded(run: RunId, record: LedgerRecord): void;
  revoke(run: RunId, effect: Extract<Effect, { kind: "revoke" }>): void;
  announce(run: RunId, version: number): void;
  isConnected(volunteer: string): boolean;
}

const CLOSING = "close round ";
const ENDS_REFUSAL: ReadonlySet<string> = new Set(["run-resumed", "run-stopped", "run-rolled-back", "version-published"]);
/** What closes the round that was open is not wanted any more, whether it runs or failed and is to be tried again. */
const GIVES_UP_ROUND: ReadonlySet<string> = new Set(["run-stopped", "run-rolled-back"]);

export class Run {
  readonly run: RunId;
  readonly loop: RunLoop;
  readonly live: Live;
  readonly verdicts = new Verdicts();
  readonly view: RunView;
  readonly retention: Retention;
  readonly #checkpointRecords = new CheckpointRecords();
  readonly #host: RunHost;
  readonly #owed: OwedWork;
  /** Who joined in this process, and as what: after a restart a volunteer joins again, which keeps its leases. */
  readonly #joined = new Map<string, string>();
  /** When each volunteer was last given a lease here. */
  readonly #lastLeaseMs = new Map<string, number>();
  /** In the run's time. */
  #upSinceMs = 0;
  /** Raised when the ledger is folded anew: what was computed for the former state answers nothing. */
  #generation = 0;
  /** The round whose closing was refused for good, until somebody resumes the run. */
  #refused: { readonly base: number; readonly why: string } | null = null;
  #manifest: DatasetManifest | null = null;
  #specBlob: BlobRef | null = null;

  constructor(run: RunId, host: RunHost) {
    this.run = run;
    this.#host = host;
    this.live = new Live(host.options.clock.now());
    this.view = new RunView(this, (volunteer) => host.isConnected(volunteer));
    this.#owed = new OwedWork(host.options.clock, (name, error, retryInMs) => {
      host.counters.add("work.failed");
      host.log(`${run}: to ${name} failed: ${messageOf(error)}. Next try in ${Math.round(retryInMs / 1000)} s.`);
    });
    this.retention = new Retention((names) =>
      host.options.storage.contributions.drop(run, names).catch((error: unknown) => {
        host.log(`${run}: contributions that are not kept could not be dropped: ${messageOf(error)}`);
        throw error;
      }),
    );
    this.loop = new RunLoop(run, {
      store: host.options.storage.ledger,
      key: host.options.key,
      clock: host.options.clock,
      log: (line) => host.log(line),
      onRecord: (record) => {
        if (ENDS_REFUSAL.has(record.event.type)) this.#refused = null;
        if (GIVES_UP_ROUND.has(record.event.type)) this.#owed.forget((name) => name.startsWith(CLOSING));
        this.live.onRecord(record);
        this.verdicts.onRecord(record);
        this.retention.onRecord(record);
        this.#checkpointRecords.onRecord(record, (version) => this.loop.state.owed.checkpoints.has(version));
        this.view.onRecord(record);
        host.recorded(run, record);
      },
      onRestart: () => {
        this.#generation += 1;
        this.#owed.clear();
        this.verdicts.clear();
        this.retention.clear();
        this.#checkpointRecords.clear();
        this.view.clear();
      },
      onEffects: (effects) => {
        for (const effect of effects) this.#carryOut(effect);
      },
    });
  }

  /** Folds the ledger and loads what it names. Rejects with a StorageFault. */
  async open(): Promise<void> {
    await this.loop.open();
    this.#serving();
    await this.#loadBlobs();
    // What an earlier process let go is not remembered by storage.
    await this.retention.sweep(this.loop.state.version);
    const { publicKey } = this.#host.options.key;
    if (this.loop.state.coordinator === publicKey) return;
    const adopted = await this.submit({ kind: "adopt", coordinator: publicKey });
    if (!adopted.ok) throw new StorageFault("unavailable", `the run ${this.run} could not be taken over: ${adopted.message}`);
  }

  /** The first record of a new run. Rejects with a StorageFault. */
  async create(event: Parameters<RunLoop["create"]>[0]): Promise<void> {
    await this.loop.create(event);
    this.#serving();
    await this.#loadBlobs();
  }

  #serving(): void {
    this.#upSinceMs = this.loop.now();
    this.live.since(this.#upSinceMs);
  }

  /** Reads the manifest and makes sure that the specification is there as a blob. */
  async #loadBlobs(): Promise<void> {
    const { spec, dataset } = this.loop.state;
    const { blobs } = this.#host.options.storage;
    const manifest = await readManifest(blobs, dataset);
    if (manifest === null)
      throw new StorageFault("damaged", `the data set's manifest of run ${this.run} (${dataset.sha256}) is missing, or is not a manifest`);
    this.#manifest = manifest;
    this.#specBlob = await blobs.put(canonicalBytes(spec));
  }

  get spec(): RunSpec {
    return this.loop.state.spec as RunSpec;
  }
  get manifest(): DatasetManifest {
    if (this.#manifest === null) throw new Error(`run ${this.run} is not open`);
    return this.#manifest;
  }
  get specBlob(): BlobRef {
    if (this.#specBlob === null) throw new Error(`run ${this.run} is not open`);
    return this.#specBlob;
  }
  get parameters(): number {
    return this.loop.state.parameters;
  }
  /** Bounds on the length of an encoded contribution. */
  contributionBytes(name: CodecName): { readonly least: number; readonly most: number } {
    const codec = codecNamed(name);
    if (codec === undefined) throw new Error(`no codec ${name}`);
    return { least: codec.leastBytes(this.parameters), most: codec.mostBytes(this.parameters) };
  }
  get isRunning(): boolean {
    return this.loop.state.phase === "running";
  }

  submit(input: Input): Promise<Submitted> {
    if (input.kind === "leave") {
      this.#joined.delete(input.volunteer);
      this.#lastLeaseMs.delete(input.volunteer);
      this.live.forget(input.volunteer);
    }
    return this.loop.submit(input);
  }

  isPresent(volunteer: string): boolean {
    return this.loop.state.volunteers.get(volunteer)?.present === true;
  }
  hasLease(lease: string): boolean {
    return this.loop.isOpen && bookOf(this.loop.state)?.leases.has(lease) === true;
  }
  openCount(volunteer: string): number {
    return this.loop.state.volunteers.get(volunteer)?.open.length ?? 0;
  }
  openAssignments(volunteer: string): Assignment[] {
    if (this.loop.state.phase !== "running" && this.loop.state.phase !== "paused") return [];
    return openAssignmentsOf(this.loop.state, volunteer).map((given) => this.assignmentMessage(given));
  }

  /** Joins where it has not joined in this process, has left since, or has another name or device now. */
  async ensureJoined({ volunteer, name, device }: Member): Promise<void> {
    const as = JSON.stringify([name, device]);
    if (this.#joined.get(volunteer) === as && this.isPresent(volunteer)) return;
    this.#joined.set(volunteer, as);
    await this.submit({ kind: "join", volunteer, name, device });
  }

  leased(volunteer: string): void {
    this.#lastLeaseMs.set(volunteer, this.loop.now());
  }
  /** Present without holding anything, and for good as far as one can tell. */
  isVisitedNoMore(volunteer: string): boolean {
    if (!this.isPresent(volunteer) || this.openCount(volunteer) > 0) return false;
    return !this.isRunning || this.loop.now() - (this.#lastLeaseMs.get(volunteer) ?? 0) > VISIT_MS;
  }

  assignmentMessage({ volunteer: _, deadlineAtMs, deltas, ...given }: AssignmentGiven): Assignment {
    const remainingMs = Math.max(0, Math.floor(deadlineAtMs - this.loop.now()));
    const led = deltas === undefined ? {} : { deltas: [...deltas] };
    return { run: this.run, ...given, ...led, spec: this.specBlob, dataset: this.loop.state.dataset, remainingMs };
  }

  /** Time passes: overdue assignments, owed work, storage that may answer again. */
  async tick(): Promise<void> {
    if (this.loop.fault !== null && !(await this.loop.heal())) return;
    this.#owed.tick();
    await this.submit({ kind: "tick", upSinceMs: this.#upSinceMs });
  }

  /** Why the run stands still although everything that volunteers can do is done: its closing failed, and is tried again. Null where it did not. */
  get trouble(): string | null {
    if (this.#refused !== null)
      return `Version ${this.#refused.base + 1} cannot be made: ${this.#refused.why}. The run is paused; resuming it tries once more.`;
    const failed = this.#owed.failures().find(({ name }) => name.startsWith(CLOSING));
    return failed === undefined ? null : `Version ${this.loop.state.version + 1} could not be made: ${failed.failure}. It is tried again.`;
  }

  get busy(): boolean {
    return this.#owed.busy;
  }

  /** Resolves when everything decided is stored and everything that runs has ended; more may have begun by then. */
  async idle(): Promise<void> {
    await this.loop.idle();
    await this.#owed.idle();
    await this.loop.idle();
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      // Answers to who asked; the desk finds them in what submit resolves to.
      case "assign":
      case "no-lease":
      case "verdict":
        return;
      case "revoke":
        this.#host.revoke(this.run, effect);
        return;
      case "announce":
        this.#host.announce(this.run, effect.version);
        return;
      case "close-round":
        if (this.#refused?.base === effect.round.base) return;
        this.#owed.start(`${CLOSING}${effect.round.base + 1}`, () => this.#closeRound(effect.round));
        return;
      case "evaluate":
        this.#owed.start(`evaluate version ${effect.version}`, () => this.#evaluate(effect.version, effect.weights));
        return;
      case "checkpoint":
        this.#owed.start(`write the checkpoint of version ${effect.version}`, () => this.#checkpoint(effect.version));
        return;
      default:
        effect satisfies never;
    }
  }

  async #closeRound(round: CloseRound): Promise<void> {
    const generation = this.#generation;
    let closed: ClosedRound;
    try {
      closed = await this.#host.options.compute.closeRound(this.run, this.spec, this.parameters, round);
    } catch (error) {
      if (!isForGood(error)) throw error;
      await this.#giveUp(generation, round.base, messageOf(error));
      return;
    }
    await this.#answer(generation, { kind: "closed", base: round.base, ...closed });
    // Stopped or rolled back meanwhile, the round has made no version that others would have to make room for.
    if (generation === this.#generation) await this.retention.sweep(Math.min(round.base + 1, this.loop.state.version));
  }

  /** The round cannot be closed, however often it is tried: the run stands until somebody resumes it, which tries once more. */
  async #giveUp(generation: number, base: number, why: string): Promise<void> {
    this.#host.counters.add("rounds.given-up");
    this.#host.log(`${this.run}: version ${base + 1} cannot be made: ${why}. The run is paused.`);
    this.#refused = { base, why };
    if (this.isRunning) await this.#answer(generation, { kind: "pause", by: "the coordinator" });
  }

  async #evaluate(version: number, weights: BlobRef): Promise<void> {
    const generation = this.#generation;
    const evaluation = await this.#host.options.compute.evaluate(this.spec, this.manifest, weights);
    await this.#answer(generation, { kind: "evaluated", version, evaluation });
  }

  async #checkpoint(version: number): Promise<void> {
    const generation = this.#generation;
    const point = this.loop.state.owed.checkpoints.get(version);
    if (point === undefined) return;
    const archive = await this.#host.options.compute.checkpoint({
      run: this.run,
      version,
      spec: this.spec,
      manifest: this.manifest,
      point,
      ...this.view.card(version, this.loop.now()),
      provenance: this.#checkpointRecords.of(version),
    });
    await this.#answer(generation, { kind: "checkpointed", version, archive });
  }

  /** Rejects where storage refuses, so that the work counts as not done. */
  async #answer(generation: number, input: Input): Promise<void> {
    if (generation !== this.#generation) return;
    const submitted = await this.submit(input);
    if (!submitted.ok) throw new Error(submitted.message);
  }
}
