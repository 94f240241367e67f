// What an admin orders: runs are made, steered, taken back and gone on from; keys are blocked. Checks, then tells the runs.
// Knows no sessions and no transports; who may give a command is decided before it comes here.
import { type AdminCommand, type AdminReply, ok, type Refusal, type Result, type RunId, refuse } from "@weft/protocol";
import type { CoordinatorOptions } from "./api.ts";
import { firstEvent, type PreparedRun, prepareRun, runIdOf } from "./create-run.ts";
import { prepareForked, prepareResumed } from "./going-on.ts";
import { Run, type RunHost } from "./run.ts";
import { messageOf, type Submitted } from "./run-loop.ts";
import { type FoundVersion, findVersion } from "./versions.ts";

export interface CommandsHost {
  readonly options: CoordinatorOptions;
  /** All runs in the order of their creation; a new one is added at the end. */
  readonly runs: Map<RunId, Run>;
  readonly runHost: RunHost;
  readonly activeRuns: number;
  readonly isClosing: () => boolean;
  /** Of somebody who was blocked. */
  readonly endSessionOf: (volunteer: string) => void;
  readonly log: (line: string) => void;
}

export class Commands {
  readonly #host: CommandsHost;
  /** Ids that are being made; one whose making failed is not used again, since its ledger may have begun. */
  readonly #taken = new Set<RunId>();

  constructor(host: CommandsHost) {
    this.#host = host;
  }

  async createRun(spec: unknown, by: string): Promise<Result<{ readonly run: RunId }>> {
    return this.#mayBegin() ?? this.#begin(() => prepareRun(spec, this.#host.options.datasets), by);
  }

  /** `by` as it stands in the ledger. */
  async carryOut(command: AdminCommand, by: string): Promise<Result<AdminReply>> {
    switch (command.type) {
      case "create-run":
        return this.createRun(command.spec, by);
      case "pause-run":
        return this.#order(command.run, "pause", by);
      case "resume-run":
        return this.#order(command.run, "resume", by);
      case "stop-run":
        return this.#order(command.run, "stop", by);
      case "roll-back":
        return this.#rollBack(command.run, command.version, by);
      case "resume-from":
        return this.#goOn(command, (found) => prepareResumed(found, command.name, this.#host.options.storage), by);
      case "fork":
        return this.#goOn(command, (found) => prepareForked(found, command.spec, this.#host.options.datasets), by);
      case "block-volunteer":
        return this.#block(command.volunteer, "block", by);
      case "unblock-volunteer":
        return this.#block(command.volunteer, "unblock", by);
      default:
        return command satisfies never;
    }
  }

  async #order(id: RunId, kind: "pause" | "resume" | "stop", by: string): Promise<Result<AdminReply>> {
    const run = this.#host.runs.get(id);
    if (run === undefined) return refuse("unknown-run", `there is no run ${id}`);
    return answerTo(id, await run.submit({ kind, by }));
  }

  /** Null where one more run may begin. */
  #mayBegin(): Refusal | null {
    if (this.#host.isClosing()) return refuse("unavailable", "the coordinator is stopping", 3_000);
    const active = [...this.#host.runs.values()].filter(
      ({ loop: { state } }) => state.phase === "running" || state.phase === "paused",
    ).length;
    return active < this.#host.activeRuns
      ? null
      : refuse("bad-command", `at most ${this.#host.activeRuns} runs are active at once; stop one first`);
  }

  async #begin(prepare: () => Promise<Result<PreparedRun>>, by: string): Promise<Result<{ readonly run: RunId }>> {
    const prepared = await prepare().catch((error: unknown) =>
      refuse(codeOf(error), `the run could not be prepared: ${messageOf(error)}`, 5_000),
    );
    if (!prepared.ok) return prepared;
    const id = runIdOf(prepared.value.spec.name, (candidate) => this.#host.runs.has(candidate) || this.#taken.has(candidate));
    this.#taken.add(id);
    const run = new Run(id, this.#host.runHost);
    try {
      await run.create(await firstEvent(id, prepared.value, this.#host.options));
    } catch (error) {
      this.#host.log(`${id}: could not be created: ${messageOf(error)}`);
      return refuse(codeOf(error), `the run could not be stored: ${messageOf(error)}`, 5_000);
    }
    const blocked = this.#blocked();
    this.#host.runs.set(id, run);
    this.#host.log(`${id}: created by ${by}`);
    for (const volunteer of blocked) await run.submit({ kind: "block", volunteer, by });
    await run.tick();
    return ok({ run: id });
  }

  async #goOn(
    { run: parent, version }: { readonly run: RunId; readonly version: number },
    prepare: (found: FoundVersion) => Promise<Result<PreparedRun>>,
    by: string,
  ): Promise<Result<AdminReply>> {
    const refusal = this.#mayBegin();
    if (refusal !== null) return refusal;
    const loop = this.#host.runs.get(parent)?.loop;
    if (loop === undefined) return refuse("unknown-run", `there is no run ${parent}`);
    const found = await findVersion(this.#host.options.storage, parent, version);
    // Storage also reads what is on its way to the disk: nothing is made of a version that a crash could take back.
    await loop.told;
    if (loop.fault !== null) return refuse(loop.fault.code, `the coordinator cannot store: ${loop.fault.message}`, 5_000);
    return found.ok ? this.#begin(() => prepare(found.value), by) : found;
  }

  async #rollBack(id: RunId, version: number, by: string): Promise<Result<AdminReply>> {
    const run = this.#host.runs.get(id);
    if (run === undefined) return refuse("unknown-run", `there is no run ${id}`);
    // It becomes active again.
    const refusal = run.loop.state.phase === "finished" ? this.#mayBegin() : null;
    if (refusal !== null) return refusal;
    const found = await findVersion(this.#host.options.storage, id, version);
    if (!found.ok) return found;
    return answerTo(id, await run.submit({ kind: "roll-back", by, point: found.value.point }));
  }

  /** A key is blocked in every run, and in those that are made later. */
  async #block(volunteer: string, kind: "block" | "unblock", by: string): Promise<Result<AdminReply>> {
    if (this.#host.runs.size === 0) return refuse("bad-command", "there is no run in whose ledger this could be written");
    let changed = false;
    let reason = "";
    for (const run of this.#host.runs.values()) {
      const submitted = await run.submit({ kind, volunteer, by });
      if (!submitted.ok) return submitted;
      reason = submitted.reason;
      changed ||= submitted.events.length > 0;
    }
    if (!changed) return refuse("bad-command", reason);
    if (kind === "block") this.#host.endSessionOf(volunteer);
    return ok(null);
  }

  #blocked(): Set<string> {
    const blocked = new Set<string>();
    for (const run of this.#host.runs.values())
      for (const one of run.loop.state.volunteers.values()) if (one.blocked) blocked.add(one.volunteer);
    return blocked;
  }
}

const answerTo = (run: RunId, submitted: Submitted): Result<AdminReply> => {
  if (!submitted.ok) return submitted;
  return submitted.events.length === 0 ? refuse("bad-command", submitted.reason) : ok({ run });
};

const codeOf = (error: unknown): "disk-full" | "damaged" | "unavailable" => {
  const code = (error as { code?: unknown } | null)?.code;
  return code === "disk-full" || code === "damaged" ? code : "unavailable";
};
