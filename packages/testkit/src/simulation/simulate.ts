// One simulation: the real coordinator and real volunteers in a storm that a seed draws, on a clock that only this loop moves, with every
// invariant looked at after every event. The same options give the same history, to the last bit.
import type { Coordinator } from "@weft/coordinator";
import { VirtualClock } from "../virtual-clock.ts";
import { diceOf } from "./dice.ts";
import { checkEnd, settle, type Until } from "./ending.ts";
import type { FaultName } from "./faults.ts";
import { Host } from "./host.ts";
import { hold, type InvariantName, Violation } from "./invariants.ts";
import type { Fate } from "./line.ts";
import { archiveOf, type Machine, moveIn } from "./machine.ts";
import { MUTATIONS, type Tampering } from "./mutations.ts";
import { planOf, type SimulationOptions, type SimulationPlan, speedOf } from "./plan.ts";
import { Storm, weatherOf } from "./storm.ts";
import { Tab } from "./tab.ts";
import { START_MS, Trickster } from "./trickster.ts";
import { Witness } from "./witness.ts";

export interface Outcome {
  readonly options: SimulationOptions;
  /** The first invariant that did not hold; null where all did. */
  readonly violation: { readonly invariant: InvariantName; readonly message: string } | null;
  /** Messages that arrived, in either direction. */
  readonly messages: number;
  /** Wakings of the virtual clock. */
  readonly events: number;
  readonly virtualMs: number;
  readonly crashes: number;
  readonly records: number;
  readonly versions: number;
  readonly acknowledged: number;
  /** Versions that were recomputed from their contributions, and those whose contributions the retention had let go. */
  readonly recomputed: number;
  readonly givenUp: number;
  /** Uploads that went on by chunk after an end of the process; runs that went on from another, and on another machine. */
  readonly resumed: number;
  readonly wentOn: number;
  readonly moved: number;
  /** How often each fault struck. */
  readonly faults: Readonly<Partial<Record<FaultName, number>>>;
  /** Hash of each run's last record: the whole history in 32 bytes. */
  readonly heads: readonly string[];
  /** What the coordinator logged, where that was asked for. */
  readonly lines: readonly string[];
}

/** After the storm an honest volunteer alone needs a few deadlines a version at worst: for what others took away, and its own waits. */
const patienceMs = ({ specs, calmAtMs, faults }: SimulationPlan): number => {
  const ofRuns = specs.reduce((sum, { training, round }) => sum + 2 * training.versions * (2 * round.deadlineMs + 3_000), 0);
  // At most three runs, here and elsewhere.
  const isMore = faults.has("resume-from") || faults.has("fork") || faults.has("archive");
  return calmAtMs + 120_000 + (isMore ? 3 : 1) * ofRuns;
};

export async function simulate(
  options: SimulationOptions,
  { keepsLines = false }: { readonly keepsLines?: boolean } = {},
): Promise<Outcome> {
  const plan = planOf(options);
  const tampering: Tampering = options.mutation === undefined ? {} : MUTATIONS[options.mutation].make();
  const clock = new VirtualClock(START_MS);
  const counts: Partial<Record<FaultName, number>> = {};
  const told = (fault: FaultName): void => {
    counts[fault] = (counts[fault] ?? 0) + 1;
  };
  let messages = 0;
  let events = 0;
  let failed: Violation | null = null;
  const counted = (): void => {
    messages += 1;
  };
  const fail = (error: unknown): void => {
    if (error instanceof Violation) failed ??= error;
    else failed ??= new Violation("nothing-breaks", error instanceof Error ? (error.stack ?? error.message) : String(error));
  };
  const witness = new Witness(fail);
  const host = new Host({ name: "coordinator", clock, dice: diceOf(plan.seed, plan.size, "host"), watch: witness, tampering, keepsLines });
  const machines: Machine[] = [{ host, witness }];
  const tabOf = (index: number, name: string, purpose: string): Tab =>
    new Tab({
      host,
      name,
      dice: diceOf(plan.seed, plan.size, "tab", purpose),
      weather: weatherOf(plan, host, purpose, told),
      samplesPerSecond: speedOf(plan, index),
      ...(tampering.engine === undefined ? {} : { tampered: tampering.engine }),
      counted,
    });
  const tabs = Array.from({ length: plan.volunteers - plan.scripted }, (_, index) => tabOf(index, `tab ${index}`, `${index}`));
  const twins: Tab[] = [];
  /** Once in a simulation: nothing goes wrong with the other machine, and one volunteer there is enough. */
  const goOnElsewhere = async (run: string): Promise<void> => {
    const bytes = await archiveOf({ host, witness }, run);
    if (bytes === null || machines.length > 1 || isOver()) return;
    const other = { witness: new Witness(fail), dice: diceOf(plan.seed, plan.size, "elsewhere") };
    const there = new Host({ name: "another coordinator", clock, dice: other.dice, watch: other.witness, keepsLines });
    machines.push({ host: there, witness: other.witness });
    await moveIn(there, bytes);
    there.start();
    const calm = (): Fate => ({ copies: 1, delayMs: 20, overtakes: false });
    const tab = new Tab({ host: there, name: "elsewhere", dice: other.dice, weather: calm, samplesPerSecond: speedOf(plan, 0), counted });
    twins.push(tab);
    tab.open();
  };
  const storm = new Storm({
    plan,
    host,
    witness,
    tabs,
    told,
    twin: (index) => {
      const twin = tabOf(index, `tab ${index}`, `${index} twin ${twins.length}`);
      twins.push(twin);
      return twin;
    },
    archive: (dice) => {
      const runs = [...witness.ledgers.keys()];
      if (runs.length > 0 && machines.length === 1) goOnElsewhere(dice.pick(runs)).catch(fail);
    },
  });

  // Everything that waits for no time runs on promises alone, and so to its end within one turn of the event loop.
  const drain = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const turn = async (): Promise<void> => {
    if (!clock.wakeNext()) throw new Error("nothing is going to happen any more");
    events += 1;
    await drain();
    if (failed === null) for (const machine of machines) machine.witness.look();
  };
  const until: Until = async (isSo, limitMs) => {
    while (failed === null && !isSo() && clock.monotonicMs() - START_MS < limitMs) await turn();
    return isSo();
  };

  const isOver = (): boolean =>
    !storm.isAsking && machines.every((machine) => machine.witness.isOver() && machine.host.coordinator !== null);
  let replayed = { recomputed: 0, givenUp: 0 };

  const play = async (): Promise<void> => {
    host.start();
    await drain();
    await until(() => host.coordinator !== null, 60_000);
    await createRuns(plan, host, until);
    storm.begin();
    for (const [index, tab] of tabs.entries())
      clock.after(index === 0 ? 0 : diceOf(plan.seed, plan.size, "arrival", index).scale(10, 8_000), () => tab.open());
    for (let index = 0; index < plan.scripted; index += 1) {
      const dice = diceOf(plan.seed, plan.size, "trickster", index);
      void new Trickster({ host, witness, dice, plan, name: `trickster ${index}`, counted, told }).play();
    }
    const watchman = (): void => {
      // Whoever runs it reads what it says, and starts it again where it asks for that.
      if (reasons(host).includes("until Weft is started again")) host.end("killed");
      clock.after(5_000, watchman);
    };
    if (plan.faults.has("full-disk") || plan.faults.has("failed-sync")) watchman();
    await until(isOver, plan.calmAtMs);
    // The storm may have left a run paused: nobody but an admin may set it going again.
    const resume = (): void => {
      for (const machine of machines)
        for (const [run, { book, state }] of machine.witness.ledgers)
          if (book.ended === null && state.phase === "paused") void machine.host.coordinator?.command({ type: "resume-run", run }, "admin");
      if (!isOver()) clock.after(5_000, resume);
    };
    if (!isOver()) clock.after(plan.calmAtMs + 1_000, resume);
    const ended = await until(isOver, patienceMs(plan));
    if (failed !== null) return;
    storm.end();
    hold(
      "progress",
      ended,
      () =>
        `not over ${Math.round((clock.monotonicMs() - START_MS) / 1000)} s after the start: ${machines.map((machine) => reasons(machine.host)).join("; ")}`,
    );
    for (const machine of machines) await settle(plan, machine, [...tabs, ...twins], until);
    for (const machine of machines) {
      if (failed !== null) return;
      const { recomputed, givenUp } = await checkEnd(plan, machine);
      replayed = { recomputed: replayed.recomputed + recomputed, givenUp: replayed.givenUp + givenUp };
    }
  };
  try {
    await play();
  } catch (error) {
    fail(error);
  }
  const violation = failed as Violation | null;
  const ledgers = machines.flatMap((machine) => [...machine.witness.ledgers.values()]);
  return {
    options,
    violation: violation === null ? null : { invariant: violation.invariant, message: violation.message },
    messages,
    events,
    virtualMs: clock.monotonicMs() - START_MS,
    crashes: host.ends,
    records: ledgers.reduce((sum, { records }) => sum + records.length, 0),
    versions: ledgers.reduce((sum, { book }) => sum + book.version, 0),
    acknowledged: ledgers.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0),
    ...replayed,
    resumed: witness.resumed,
    wentOn: witness.wentOn,
    moved: machines.length - 1,
    faults: counts,
    heads: ledgers.map(({ records }) => records.at(-1)?.hash ?? ""),
    lines: host.lines,
  };
}

async function createRuns({ specs }: SimulationPlan, host: Host, until: Until): Promise<void> {
  for (const spec of specs) {
    let created: Awaited<ReturnType<Coordinator["createRun"]>> | undefined;
    void host.coordinator?.createRun(spec, "simulation").then((reply) => {
      created = reply;
    });
    await until(() => created !== undefined, 120_000);
    if (created?.ok !== true) throw new Error(`the run was not created: ${created?.message ?? "no answer"}`);
  }
}

const reasons = (host: Host): string =>
  host.coordinator === null
    ? "the coordinator is down"
    : host.coordinator
        .runs()
        .map(({ run, phase, version }) => `${run} is ${phase} at version ${version}: ${host.coordinator?.detail(run)?.round?.reason ?? ""}`)
        .join("; ");
