// The commands of `weft` in one tree, and the sentence that an expected failure becomes. Knows no process.
import { Command } from "commander";
import { registerCheckpoints } from "./commands/checkpoints.ts";
import { visible } from "./commands/columns.ts";
import { registerDatasets } from "./commands/datasets.ts";
import { registerDonate } from "./commands/donate.ts";
import { registerReplay } from "./commands/replay.ts";
import { registerRuns } from "./commands/runs.ts";
import { registerServe } from "./commands/serve.ts";
import { registerSwarm } from "./commands/swarm.ts";
import { registerVerify } from "./commands/verify.ts";

/** `download`: what `datasets fetch` fetches with; the platform's unless told. */
export function weftProgram(download?: typeof fetch): Command {
  const program = new Command("weft").description("Train open models on the GPUs that people lend from a browser tab").showHelpAfterError();
  registerServe(program);
  registerDonate(program);
  registerRuns(program);
  registerCheckpoints(program);
  registerVerify(program);
  registerReplay(program);
  registerDatasets(program, download);
  registerSwarm(program);
  return program;
}

/** One line for standard error: what a file or a server has put into the message is made visible. */
export const sentenceOf = (error: unknown): string =>
  visible((error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, " "));
