#!/usr/bin/env node
// `weft`: the command line. Registers the commands and turns an expected failure into one sentence and exit code 1.
import { Command } from "commander";
import { registerCheckpoints } from "./commands/checkpoints.ts";
import { registerDatasets } from "./commands/datasets.ts";
import { registerRuns } from "./commands/runs.ts";
import { registerServe } from "./commands/serve.ts";
import { registerSwarm } from "./commands/swarm.ts";
import { registerVolunteer } from "./commands/volunteer.ts";

const program = new Command("weft").description("Train open models on the GPUs that people lend from a browser tab").showHelpAfterError();
for (const register of [registerServe, registerVolunteer, registerRuns, registerCheckpoints, registerDatasets, registerSwarm])
  register(program);

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
