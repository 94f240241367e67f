// The command line of the benches: NAME [--short] [--seed N] [--json FILE] [--check]
// [--only PART] [--data FOLDER] [--peak-tflops N]. Exit code 1 when --check finds a goal missed.
import { parseArgs } from "node:util";
import { type Bench, meets } from "./bench.ts";
import { faultsBench } from "./benches/faults/faults.ts";
import { homelineBench } from "./benches/homeline/homeline.ts";
import { ingestBench } from "./benches/ingest/ingest.ts";
import { languageBench } from "./benches/language/language.ts";
import { pathBench } from "./benches/path.ts";
import { roundsBench } from "./benches/rounds/rounds.ts";
import { stepBench } from "./benches/step.ts";
import { swarmBench } from "./benches/swarm.ts";
import { uplinkBench } from "./benches/uplink/uplink.ts";
import { reportOf, tableOf, writeReport } from "./report.ts";

const BENCHES: readonly Bench[] = [
  faultsBench,
  homelineBench,
  ingestBench,
  languageBench,
  pathBench,
  roundsBench,
  stepBench,
  swarmBench,
  uplinkBench,
];
const DEFAULT_SEED = 7;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      "peak-tflops": { type: "string" },
      short: { type: "boolean" },
      check: { type: "boolean" },
      only: { type: "string" },
      data: { type: "string" },
      json: { type: "string" },
      seed: { type: "string" },
    },
  });
  const bench = BENCHES.find(({ name }) => name === positionals[0]);
  if (bench === undefined || positionals.length !== 1) {
    process.stderr.write(`Name one bench:\n${BENCHES.map(({ name, about }) => `  ${name.padEnd(8)} ${about}`).join("\n")}\n`);
    return 1;
  }
  const seed = Number(values.seed ?? DEFAULT_SEED);
  const short = values.short ?? false;
  const peakTflops = values["peak-tflops"] === undefined ? null : Number(values["peak-tflops"]);
  if (peakTflops !== null && !(peakTflops > 0)) throw new Error("--peak-tflops wants a number above 0");
  const rows = await bench.run({
    short,
    seed,
    peakTflops,
    only: values.only ?? null,
    data: values.data ?? null,
    say: (line) => process.stderr.write(`${line}\n`),
  });
  process.stdout.write(`${tableOf(rows)}\n`);
  if (values.json !== undefined) writeReport(values.json, reportOf(bench.name, seed, short, rows));
  const missed = rows.filter((row) => !meets(row));
  if (values.check === true && missed.length > 0) {
    process.stderr.write(`Missed: ${missed.map(({ figure }) => figure).join("; ")}\n`);
    return 1;
  }
  return 0;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
process.exitCode = await main();
