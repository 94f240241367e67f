#!/usr/bin/env node
// What `npx weft` runs: the bundle, which `npm start` builds. Stands here because npm links a command only to a file that exists.
import { existsSync } from "node:fs";

const bundle = new URL("dist/main.js", import.meta.url);
if (existsSync(bundle)) await import(bundle.href);
else {
  process.stderr.write("Weft is not built yet. Run `npm start` once, or build the command line alone: node apps/cli/build.mjs\n");
  process.exitCode = 1;
}
