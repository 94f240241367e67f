// `npm run bench -- NAME [--short] [--json FILE] [--check]`: builds what the benches drive, then runs the bench package.
import { spawnSync } from "node:child_process";
import { ensureBrowser } from "./lib/browser.mjs";
import { ensureBuilt } from "./lib/build.mjs";
import { ensureInstalled, ensureNode, main, ROOT } from "./lib/prepare.mjs";

await main(async () => {
  ensureNode();
  ensureInstalled();
  ensureBuilt();
  const env = { ...process.env, WEFT_CHROMIUM: await ensureBrowser() };
  const { status } = spawnSync(process.execPath, ["--import", "tsx", "packages/bench/src/main.ts", ...process.argv.slice(2)], {
    cwd: ROOT,
    stdio: "inherit",
    env,
  });
  process.exitCode = status ?? 1;
});
