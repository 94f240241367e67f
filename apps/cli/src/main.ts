#!/usr/bin/env node
// `weft`: the command line. Runs what was typed, and turns an expected failure into one sentence and exit code 1.
import { sentenceOf, weftProgram } from "./program.ts";

try {
  await weftProgram().parseAsync();
} catch (error) {
  process.stderr.write(`${sentenceOf(error)}\n`);
  process.exitCode = 1;
}
