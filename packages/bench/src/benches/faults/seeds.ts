// Thousands of deterministic simulations: the real coordinator and real volunteers under faults drawn from a seed, every invariant looked at
// after every event. Virtual time only; as many processes as there are processors.
import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { INVARIANTS, type SimulationOptions, type SimulationSize } from "@weft/testkit/simulation";
import type { BenchContext, Row } from "../../bench.ts";
import type { SeedsDone } from "./seed-worker.ts";

interface Load {
  readonly size: SimulationSize;
  readonly seeds: number;
  /** Seeds handed to a process at once. */
  readonly batch: number;
}
const FULL: readonly Load[] = [
  { size: "large", seeds: 200, batch: 1 },
  { size: "small", seeds: 10_000, batch: 25 },
];
const SHORT: readonly Load[] = [
  { size: "large", seeds: 1, batch: 1 },
  { size: "small", seeds: 150, batch: 25 },
];
const WORKER = new URL("./seed-worker.ts", import.meta.url);
/** More than this of the same run says nothing new. */
const MAX_FAILURES_TOLD = 10;

interface Sums {
  seeds: number;
  messages: number;
  crashes: number;
  acknowledged: number;
  versions: number;
  seconds: number;
  readonly failures: string[];
}

/** Batches one after another, until there are no more; a process that dies fails the bench. */
function work(process: ChildProcess, next: () => readonly SimulationOptions[], take: (done: SeedsDone) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (then: () => void): void => {
      process.off("message", onDone);
      process.off("exit", onExit);
      then();
    };
    const more = (): void => {
      const batch = next();
      if (batch.length === 0) end(resolve);
      else process.send(batch);
    };
    const onDone = (done: SeedsDone): void => {
      take(done);
      more();
    };
    const onExit = (code: number | null): void =>
      end(() => reject(new Error(`a process of the simulations ended with ${code ?? "a signal"}`)));
    process.on("message", onDone);
    process.once("exit", onExit);
    more();
  });
}

async function runLoad(
  { size, seeds, batch }: Load,
  firstSeed: number,
  processes: readonly ChildProcess[],
  say: BenchContext["say"],
): Promise<Sums> {
  const sums: Sums = { seeds: 0, messages: 0, crashes: 0, acknowledged: 0, versions: 0, seconds: 0, failures: [] };
  const startMs = performance.now();
  let given = 0;
  let toldMs = startMs;
  const next = (): SimulationOptions[] => {
    const from = given;
    given = Math.min(seeds, given + batch);
    return Array.from({ length: given - from }, (_, index) => ({ seed: firstSeed + from + index, size }));
  };
  const take = (done: SeedsDone): void => {
    sums.seeds += done.seeds;
    sums.messages += done.messages;
    sums.crashes += done.crashes;
    sums.acknowledged += done.acknowledged;
    sums.versions += done.versions;
    for (const failure of done.failures) {
      if (sums.failures.length < MAX_FAILURES_TOLD) say(failure);
      sums.failures.push(failure);
    }
    if (performance.now() - toldMs < 10_000) return;
    toldMs = performance.now();
    say(`${sums.seeds} of ${seeds} ${size} seeds, ${sums.failures.length} failed`);
  };
  await Promise.all(processes.map((process) => work(process, next, take)));
  sums.seconds = (performance.now() - startMs) / 1000;
  return sums;
}

/** The rows of the simulations; part of the bench `faults`. */
export async function seedRows({ short, seed, say }: BenchContext): Promise<readonly Row[]> {
  const processes = Array.from({ length: availableParallelism() }, () => fork(WORKER, { execArgv: ["--import", "tsx"] }));
  try {
    const rows: Row[] = [];
    for (const load of short ? SHORT : FULL) {
      const firstSeed = 1_000_000 * seed;
      say(`${load.seeds} simulations of ${load.size === "large" ? "200 volunteers and 50 versions" : "3 to 40 volunteers"} ...`);
      rows.push(...rowsOf(load, await runLoad(load, firstSeed, processes, say), short));
    }
    return rows;
  } finally {
    for (const process of processes) process.disconnect();
  }
}

function rowsOf({ size, seeds }: Load, sums: Sums, short: boolean): Row[] {
  const of = size === "large" ? "200 volunteers, 50 versions" : "3 to 40 volunteers, 5 to 20 versions";
  const plain = (figure: string, value: number, unit = ""): Row => ({ figure: `${of}: ${figure}`, value, unit, goal: null, anchor: "" });
  return [
    {
      figure: `${of}: seeds`,
      value: sums.seeds,
      unit: "",
      goal: short ? null : { at: "least", value: seeds },
      anchor: short ? "" : "goal of the issue",
    },
    {
      figure: `${of}: seeds with a violated invariant`,
      value: sums.failures.length,
      unit: "",
      goal: { at: "most", value: 0 },
      anchor: "goal of the issue",
      note: `${Object.keys(INVARIANTS).length} invariants, looked at after every event`,
    },
    plain("messages", sums.messages),
    plain("messages simulated a second of wall time", sums.messages / sums.seconds, "1/s"),
    plain("ends of the coordinator's process", sums.crashes),
    plain("versions made", sums.versions),
    plain("contributions acknowledged", sums.acknowledged),
  ];
}
