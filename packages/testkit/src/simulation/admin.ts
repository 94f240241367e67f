// Whoever runs it, and orders things in the middle of everything else: pauses, roll-backs, blocks, stops, and runs that go on from others.
// Checks that what it is answered is on disk. Knows no time.
import type { LedgerEvent, RunSpec } from "@weft/protocol";
import { type Dice, diceOf } from "./dice.ts";
import type { FaultName } from "./faults.ts";
import type { Host } from "./host.ts";
import { retentionOf, type SimulationPlan } from "./plan.ts";
import type { Tab } from "./tab.ts";
import type { Witness } from "./witness.ts";

export interface AdminOptions {
  readonly plan: SimulationPlan;
  readonly host: Host;
  readonly witness: Witness;
  readonly tabs: readonly Tab[];
}

/** What a command leaves in the ledger. */
const EVENT_OF: Readonly<Record<string, LedgerEvent["type"]>> = {
  "pause-run": "run-paused",
  "resume-run": "run-resumed",
  "stop-run": "run-stopped",
  "roll-back": "run-rolled-back",
  "block-volunteer": "volunteer-blocked",
  "unblock-volunteer": "volunteer-unblocked",
  "resume-from": "run-created",
  fork: "run-created",
};
/** Each more makes a simulation longer. */
const MOST_RUNS = 3;

export class Admin {
  readonly #options: AdminOptions;
  #isOver = false;
  /** Commands that are not answered, each with the process that was asked. */
  readonly #asked = new Set<{ readonly ends: number }>();

  constructor(options: AdminOptions) {
    this.#options = options;
  }

  /** Commands nothing any more. */
  end(): void {
    this.#isOver = true;
  }

  /** What was ordered may still come to be: a process that has ended answers nothing. */
  get isAsking(): boolean {
    return [...this.#asked].some(({ ends }) => ends === this.#options.host.ends);
  }

  befall(fault: FaultName, dice: Dice): void {
    const { tabs, host } = this.#options;
    switch (fault) {
      case "pause":
        this.#command({ type: "pause-run" }, dice);
        host.clock.after(dice.scale(200, 8_000), () => this.#command({ type: "resume-run" }, dice));
        return;
      case "roll-back":
        this.#rollBack(dice);
        return;
      case "block": {
        const tab = tabs[dice.whole(1, tabs.length - 1)];
        if (tab === undefined) return;
        this.#command({ type: "block-volunteer", volunteer: tab.key }, dice);
        host.clock.after(dice.scale(500, 8_000), () => this.#command({ type: "unblock-volunteer", volunteer: tab.key }, dice));
        return;
      }
      case "stop":
        this.#command({ type: "stop-run" }, dice);
        return;
      case "resume-from":
      case "fork":
        this.#goOn(fault, dice);
        return;
      default:
        throw new Error(`no command is called ${fault}`);
    }
  }

  /** One of the runs that there are. */
  pick(dice: Dice): string | null {
    const runs = [...this.#options.witness.ledgers.keys()];
    return runs.length === 0 ? null : dice.pick(runs);
  }

  #rollBack(dice: Dice): void {
    const run = this.pick(dice);
    const book = run === null ? undefined : this.#options.witness.ledgers.get(run)?.book;
    // Each costs rounds: often enough to matter, seldom enough to end.
    if (book === undefined || book.version === book.firstVersion) return;
    if (book.version - book.firstVersion > 2 * book.spec.training.versions) return;
    const version = Math.max(book.firstVersion, book.version - dice.whole(1, 4));
    this.#command({ type: "roll-back", run, version }, dice);
  }

  #goOn(type: "resume-from" | "fork", dice: Dice): void {
    const { plan, witness } = this.#options;
    const run = this.pick(dice);
    const book = run === null ? undefined : witness.ledgers.get(run)?.book;
    if (book === undefined || witness.ledgers.size >= MOST_RUNS) return;
    const version = Math.max(book.firstVersion, book.version - dice.whole(0, 3));
    if (dice.chance(0.5)) this.#command({ type: "stop-run", run }, dice);
    const own = diceOf(plan.seed, plan.size, type, witness.ledgers.size);
    const what = type === "fork" ? { spec: forkOf(book.spec, book.pointOf(version)?.steps ?? 0, own) } : {};
    this.#command({ type, run, version, ...what }, dice);
  }

  #command(command: { readonly type: string; readonly [field: string]: unknown }, dice: Dice): void {
    const { host, witness } = this.#options;
    const run = command.run ?? this.pick(dice);
    const { coordinator, ends } = host;
    if (this.#isOver || coordinator === null || typeof run !== "string") return;
    const isOfRun = !command.type.endsWith("-volunteer");
    const event = EVENT_OF[command.type];
    const fromSeq = event === "run-created" ? 0 : (witness.ledgers.get(run)?.records.length ?? 0);
    const asked = { ends };
    this.#asked.add(asked);
    void coordinator.command(isOfRun ? { ...command, run } : command, "admin").then(
      (reply) => {
        this.#asked.delete(asked);
        // A key may be blocked in this run already, and only in others be blocked anew.
        if (ends === host.ends && reply.ok && event !== undefined && (isOfRun || witness.ledgers.size === 1))
          witness.commanded(reply.value?.run ?? run, event, fromSeq);
      },
      (error: unknown) =>
        witness.broken(`${command.type} is not answered: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
    );
  }
}

/** Fits the weights; goes on with the sample stream, or begins another. */
function forkOf(spec: RunSpec, steps: number, dice: Dice): RunSpec {
  const isSameStream = dice.chance(0.6);
  const { retention: _retention, ...rest } = spec;
  return {
    ...rest,
    name: "fork",
    seed: isSameStream ? spec.seed : dice.whole(0, 0xffff_ffff),
    training: {
      ...spec.training,
      versions: (isSameStream ? steps : 0) + dice.whole(1, 4),
      optimizer: dice.chance(0.5) ? spec.training.optimizer : { kind: "sgd", learningRate: 0.02, momentum: 0.5, weightDecay: 0 },
    },
    ...retentionOf(dice),
  };
}
