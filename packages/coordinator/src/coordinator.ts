// The coordinator: runs, the sessions of volunteers, and what connects them. A thin shell around the pure state machine of each run.
// Knows no sockets, no HTTP, no threads, no disks.
import {
  AdminCommand,
  type AdminReply,
  type Assignment,
  type LedgerRecord,
  type Result,
  type RunDetail,
  type RunId,
  type RunSummary,
  type Welcome,
} from "@weft/protocol";
import type { CoordinatorApi, CoordinatorLimits, CoordinatorOptions, Inside, VolunteerPort, VolunteerSession } from "./api.ts";
import { Commands } from "./commands.ts";
import { Counters } from "./counters.ts";
import { BLOCKED, Desk } from "./desk.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import type { Member } from "./member.ts";
import { parseMessage } from "./parse.ts";
import { Run, type RunHost } from "./run.ts";
import { messageOf } from "./run-loop.ts";
import type { Session, SessionHost } from "./session.ts";
import { Sessions } from "./sessions.ts";
import { steadyClock } from "./steady-clock.ts";

const MAX_LEDGER_PAGE = 1_000;

export class Coordinator implements CoordinatorApi {
  readonly #options: CoordinatorOptions;
  readonly #limits: CoordinatorLimits;
  readonly #counters = new Counters();
  readonly #runs = new Map<RunId, Run>();
  readonly #desk: Desk;
  readonly #sessions: Sessions;
  readonly #listeners = new Set<(run: RunId) => void>();
  readonly #runHost: RunHost;
  readonly #commands: Commands;
  readonly #background = new Set<Promise<unknown>>();
  #ticking: Promise<void> | null = null;
  #closing = false;

  private constructor(options: CoordinatorOptions) {
    this.#options = options = { ...options, clock: steadyClock(options.clock) };
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#desk = new Desk({
      ...options,
      limits: this.#limits,
      counters: this.#counters,
      runs: this.#runs,
      isClosing: () => this.#closing,
    });
    this.#sessions = new Sessions(this.#sessionHost(), this.#limits, (volunteer) =>
      this.#inBackground(this.#desk.leaveAll(volunteer, "silent")),
    );
    this.#runHost = {
      options,
      counters: this.#counters,
      log: (line) => this.#log(line),
      recorded: (run, { event }) => {
        if (event.type === "assignment-ended") this.#desk.uploads.end(run, event.lease, event.attempt, event.reason);
        if (event.type === "version-published" || event.type === "run-rolled-back") this.#desk.endRound(run, event.version);
        if (event.type === "run-paused") this.#desk.uploads.endRun(run, false);
        if (event.type === "run-stopped" || event.type === "run-finished") this.#desk.uploads.endRun(run, true);
        for (const listener of this.#listeners) listener(run);
      },
      revoke: (run, { volunteer, lease, attempt, reason }) => {
        this.#sessions.of(volunteer)?.port.send("revoke", { run, lease, attempt, reason });
      },
      isConnected: (volunteer) => this.#sessions.of(volunteer) !== undefined,
      announce: (run, version) => {
        const nowMs = options.clock.now();
        for (const { session } of this.#sessions.members()) session.notices.add({ run, version }, nowMs);
      },
    };
    this.#commands = new Commands({
      options,
      runs: this.#runs,
      runHost: this.#runHost,
      activeRuns: this.#limits.activeRuns,
      isClosing: () => this.#closing,
      endSessionOf: (volunteer) => this.#sessions.endOf(volunteer, BLOCKED),
      log: (line) => this.#log(line),
    });
  }

  /** Folds all ledgers and resumes what is owed. Rejects with a StorageFault whose message is one sentence. */
  static async open(options: CoordinatorOptions): Promise<Coordinator> {
    const coordinator = new Coordinator(options);
    const runs: Run[] = [];
    for (const id of await options.storage.ledger.runs()) {
      const run = new Run(id, coordinator.#runHost);
      await run.open();
      runs.push(run);
    }
    runs.sort((a, b) => a.loop.state.createdAtMs - b.loop.state.createdAtMs || (a.run < b.run ? -1 : 1));
    for (const run of runs) coordinator.#runs.set(run.run, run);
    await coordinator.#resumeUploads();
    await coordinator.tick();
    return coordinator;
  }

  /** Nothing of an unfinished upload was promised: where it cannot be taken up, it is sent again. */
  async #resumeUploads(): Promise<void> {
    try {
      const resumed = await this.#desk.resumeUploads();
      if (resumed > 0) this.#log(`${resumed} unfinished uploads of before can go on where they were.`);
    } catch (error) {
      this.#log(`what was left of unfinished uploads cannot be used: ${messageOf(error)}`);
    }
  }

  createRun(spec: unknown, by: string): Promise<Result<{ readonly run: RunId }>> {
    return this.#commands.createRun(spec, by);
  }

  async command(command: unknown, by: string): Promise<Result<AdminReply>> {
    const parsed = parseMessage(AdminCommand, command);
    return parsed.ok ? this.#commands.carryOut(parsed.value, by.slice(0, 500)) : parsed;
  }

  connect(port: VolunteerPort): VolunteerSession {
    this.#counters.add("sessions.opened");
    return this.#sessions.connect(port);
  }

  async goodbye(farewell: string): Promise<boolean> {
    const member = this.#sessions.farewell(farewell);
    if (member === null) return false;
    this.#counters.add("sessions.goodbyes");
    await this.#desk.leave(member);
    return true;
  }

  runs(): readonly RunSummary[] {
    return [...this.#runs.values()].map((run) => run.view.summary(run.loop.now()));
  }

  detail(run: string): RunDetail | null {
    const found = this.#runs.get(run);
    return found === undefined ? null : found.view.detail(found.loop.now());
  }

  async ledger(run: string, fromSeq: number, limit: number): Promise<readonly LedgerRecord[] | null> {
    const found = this.#runs.get(run);
    if (found === undefined) return null;
    const wanted = Math.max(0, Math.min(MAX_LEDGER_PAGE, Math.floor(limit) || 0));
    const records: LedgerRecord[] = [];
    if (wanted === 0) return records;
    for await (const record of this.#options.storage.ledger.read(found.run, Math.max(0, Math.floor(fromSeq) || 0))) {
      records.push(record);
      if (records.length >= wanted) break;
    }
    return records;
  }

  subscribe(listener: (run: RunId) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  volunteersNow(): number {
    return this.#sessions.volunteers;
  }

  counters(): Readonly<Record<string, number>> {
    return this.#counters.all();
  }

  /** What no page shows, for audits and simulations: live states by reference, to be looked at only. */
  inside(): Inside {
    const { uploads, verdicts } = this.#desk.uploads.sizes;
    return {
      runs: [...this.#runs.values()].map(({ run, loop }) => {
        const { head, queuedInputs } = loop;
        return { run, state: loop.isOpen ? loop.state : null, head, queuedInputs };
      }),
      connections: this.#sessions.connections,
      volunteers: this.#sessions.volunteers,
      uploads,
      verdicts,
    };
  }

  noteBytesOut(run: string | null, bytes: number): void {
    this.#counters.add("bytes.out", bytes);
    const found = run === null ? undefined : this.#runs.get(run);
    found?.live.noteBytesOut(found.loop.now(), bytes);
  }

  /** Calls that overlap are one. */
  tick(): Promise<void> {
    this.#ticking ??= this.#tickOnce().finally(() => {
      this.#ticking = null;
    });
    return this.#ticking;
  }

  async close(): Promise<void> {
    this.#closing = true;
    await this.#desk.uploads.arrived();
    await this.#desk.uploads.idle();
    await this.idle();
    this.#sessions.endAll();
    await this.idle();
  }

  /** Resolves when nothing is under way any more: what is decided is stored, what was owed and could be done is done. */
  async idle(): Promise<void> {
    for (;;) {
      await Promise.all([...this.#background]);
      await this.#desk.uploads.idle();
      for (const run of this.#runs.values()) await run.idle();
      if (this.#background.size === 0 && ![...this.#runs.values()].some((run) => run.busy)) return;
    }
  }

  async #tickOnce(): Promise<void> {
    this.#sessions.tick();
    this.#desk.uploads.sweep();
    for (const run of this.#runs.values()) await run.tick();
  }

  #sessionHost(): SessionHost {
    return {
      options: this.#options,
      counters: this.#counters,
      desk: this.#desk,
      isClosing: () => this.#closing,
      isBlocked: (volunteer) => [...this.#runs.values()].some((run) => run.loop.state.volunteers.get(volunteer)?.blocked === true),
      welcome: (session, member) => this.#welcome(session, member),
      gone: (session, silentMs) => this.#sessions.gone(session, silentMs),
      broken: (event, error) => {
        this.#counters.add("internal-errors");
        this.#log(`answering ${event} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      },
    };
  }

  async #welcome(session: Session, member: Member): Promise<Welcome> {
    const farewell = this.#sessions.ready(session, member);
    const open = [];
    for (const run of this.#runs.values()) {
      // After a restart the run still counts it as present: joining again keeps its leases.
      if (run.isPresent(member.volunteer)) this.#inBackground(run.ensureJoined(member));
      // A lease names its version, which must be on disk before anybody hears of it; one that is given meanwhile is told by its own answer.
      const promised = run.openAssignments(member.volunteer);
      if (promised.length === 0) continue;
      await run.loop.told;
      const isPromised = (one: Assignment): boolean =>
        promised.some(({ lease, attempt }) => lease === one.lease && attempt === one.attempt);
      if (run.loop.fault === null) open.push(...run.openAssignments(member.volunteer).filter(isPromised));
    }
    return { volunteer: member.volunteer, open, farewell };
  }

  #inBackground(work: Promise<unknown>): void {
    const guarded = work.catch((error: unknown) => {
      this.#counters.add("internal-errors");
      this.#log(messageOf(error));
    });
    this.#background.add(guarded);
    void guarded.then(() => this.#background.delete(guarded));
  }

  #log(line: string): void {
    this.#options.log?.(line);
  }
}
