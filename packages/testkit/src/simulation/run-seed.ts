// `npx tsx packages/testkit/src/simulation/run-seed.ts SEED [--large] [--volunteers N] [--versions N] [--without A,B] [--mutation NAME] [--log]`:
// one simulation, told in full. Ends with 1 where an invariant did not hold.
import { parseCommand } from "./command.ts";
import { simulate } from "./simulate.ts";

const { options, keepsLines } = parseCommand(process.argv.slice(2));
const startMs = performance.now();
const { lines, violation, ...rest } = await simulate(options, { keepsLines });
for (const line of lines) process.stdout.write(`${line}\n`);
process.stdout.write(`${JSON.stringify({ ...rest, seconds: (performance.now() - startMs) / 1000 }, null, 1)}\n`);
process.stdout.write(violation === null ? "every invariant held\n" : `${violation.message}\n`);
process.exitCode = violation === null ? 0 : 1;
