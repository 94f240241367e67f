// `npx tsx packages/testkit/src/simulation/run-seed.ts SEED [--large] [--volunteers N] [--versions N] [--without A,B] [--log]`: one simulation, told in full.
import { parseArgs } from "node:util";
import { isFaultName } from "./faults.ts";
import { simulate } from "./simulate.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    large: { type: "boolean" },
    volunteers: { type: "string" },
    versions: { type: "string" },
    without: { type: "string" },
    log: { type: "boolean" },
  },
});
const startMs = performance.now();
const outcome = await simulate(
  {
    seed: Number(positionals[0]),
    size: values.large === true ? "large" : "small",
    ...(values.volunteers === undefined ? {} : { volunteers: Number(values.volunteers) }),
    ...(values.versions === undefined ? {} : { versions: Number(values.versions) }),
    without: (values.without ?? "").split(",").filter(isFaultName),
  },
  { keepsLines: values.log === true },
);
for (const line of outcome.lines) process.stdout.write(`${line}\n`);
const { lines: _lines, violation, ...rest } = outcome;
process.stdout.write(`${JSON.stringify({ ...rest, seconds: (performance.now() - startMs) / 1000 }, null, 1)}\n`);
process.stdout.write(violation === null ? "every invariant held\n" : `${violation.message}\n`);
process.exitCode = violation === null ? 0 : 1;
