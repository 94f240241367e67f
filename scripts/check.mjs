// `npm run check`: types, Biome, import rules, knip. Runs all of them, then fails if any failed.
import { spawnSync } from "node:child_process";
import { CHECKS } from "./lib/checks.mjs";
import { ensureInstalled, ensureNode, main, ROOT, Stop, say } from "./lib/prepare.mjs";

await main(() => {
  ensureNode();
  ensureInstalled();
  const failed = CHECKS.filter(({ name, command, args }) => {
    say(`\n— ${name}`);
    return spawnSync(command, args, { cwd: ROOT, stdio: "inherit", shell: process.platform === "win32" }).status !== 0;
  });
  if (failed.length > 0) throw new Stop(`\nFailed: ${failed.map(({ name }) => name).join(", ")}.`);
  say("\nAll checks passed.");
});
