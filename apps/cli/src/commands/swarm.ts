// `weft swarm URL`: many simulated volunteers in one process, with speeds, latencies and drop-outs from a seed; prints totals and ends by itself.
import { writeFile } from "node:fs/promises";
import type { SwarmReport } from "@weft/testkit/swarm";
import { type Command, InvalidArgumentError } from "commander";
import { DEFAULT_URL } from "./api.ts";
import { columns } from "./columns.ts";
import { coordinatorOf } from "./donate.ts";

interface SwarmCommandOptions {
  readonly volunteers: number;
  readonly synthetic: boolean;
  readonly seed: number;
  readonly duration: number;
  readonly speeds: { readonly median: number; readonly sigma: number };
  readonly dropOuts: number;
  readonly latency: number;
  readonly run?: string;
  readonly json?: string;
}

const numberFrom =
  (low: number, high: number, whole = false) =>
  (text: string): number => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (value >= low && value <= high && (!whole || Number.isInteger(value))) return value;
    throw new InvalidArgumentError(`It must be a ${whole ? "whole " : ""}number from ${low} to ${high}.`);
  };

/** `lognormal`, `lognormal:200`, `lognormal:200,0.8` (median in samples a second, sigma), `fixed:200`. */
export function speedsOf(text: string): { readonly median: number; readonly sigma: number } {
  const found = /^(lognormal|fixed)(?::(\d+(?:\.\d+)?)(?:,(\d+(?:\.\d+)?))?)?$/.exec(text);
  const median = Number(found?.[2] ?? 200);
  const sigma = found?.[1] === "fixed" ? 0 : Number(found?.[3] ?? 0.6);
  if (found === null || !(median > 0 && median <= 1e6) || !(sigma <= 3) || (found[1] === "fixed" && found[3] !== undefined))
    throw new InvalidArgumentError("It must be lognormal, lognormal:MEDIAN, lognormal:MEDIAN,SIGMA or fixed:SAMPLES_A_SECOND.");
  return { median, sigma };
}

const table = (report: SwarmReport): string =>
  columns([
    ["figure", "value"],
    ["volunteers", String(report.volunteers)],
    ["seconds", (report.durationMs / 1000).toFixed(1)],
    ["connections", String(report.connections)],
    ["leases", String(report.leases)],
    ["admitted", String(report.admitted)],
    ...Object.entries(report.refused)
      .sort(([, a], [, b]) => b - a)
      .map(([code, count]) => [`refused: ${code}`, String(count)]),
    ["drop-outs", String(report.dropOuts)],
    ["samples", String(report.samples)],
    ["samples/s", report.samplesPerSecond.toFixed(1)],
    ["bytes up", String(report.bytesUp)],
    ["bytes down", String(report.bytesDown)],
    ...Object.entries(report.states).map(([state, count]) => [`at the end: ${state}`, String(count)]),
  ]);

async function swarm(url: string, options: SwarmCommandOptions): Promise<void> {
  const { runSwarm } = await import("@weft/testkit/swarm");
  const abort = new AbortController();
  const leave = (): void => abort.abort();
  process.once("SIGINT", leave);
  process.once("SIGTERM", leave);
  const { volunteers, synthetic, seed, duration, speeds, dropOuts, latency, run, json } = options;
  const { stdout } = process;
  const report = await runSwarm({
    url,
    volunteers,
    synthetic,
    seed,
    durationMs: 1000 * duration,
    speeds,
    dropOuts,
    latencyMs: latency,
    run: run ?? null,
    signal: abort.signal,
    onProgress: ({ durationMs, leases, admitted, samplesPerSecond }) => {
      const text = `${Math.round(durationMs / 1000)} s · ${leases} leases · ${admitted} admitted · ${samplesPerSecond.toFixed(0)} samples/s`;
      if (stdout.isTTY) stdout.write(`\r\u001b[2K${text}`);
    },
  });
  if (stdout.isTTY) stdout.write("\r\u001b[2K");
  stdout.write(`${table(report)}\n`);
  if (json !== undefined) await writeFile(json, `${JSON.stringify(report, null, 2)}\n`);
  // Steps of the shared engine may still be queued; nobody waits for them.
  process.exit(report.connections === 0 ? 1 : 0);
}

export function registerSwarm(program: Command): void {
  program
    .command("swarm")
    .description("simulated volunteers: the load tool and the test tool")
    .argument("[url]", "the coordinator", coordinatorOf, DEFAULT_URL)
    .option("--volunteers <count>", "how many", numberFrom(1, 10_000, true), 10)
    .option("--synthetic", "cheap noise instead of real gradients", false)
    .option("--seed <seed>", "of keys, speeds, latencies and drop-outs", numberFrom(0, 0xffff_ffff, true), 1)
    .option("--duration <seconds>", "when to end", numberFrom(1, 86_400), 60)
    .option("--speeds <rule>", "lognormal[:MEDIAN[,SIGMA]] or fixed:SPEED, in samples a second", speedsOf, { median: 200, sigma: 0.6 })
    .option("--drop-outs <probability>", "that a volunteer vanishes during a lease", numberFrom(0, 1), 0)
    .option("--latency <ms>", "median round trip added to every message", numberFrom(0, 60_000), 0)
    .option("--run <run>", "lend to this run only")
    .option("--json <file>", "write the totals as JSON")
    .action(swarm);
}
