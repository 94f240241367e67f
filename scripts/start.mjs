// `npm start`: install, build, then serve. Everything after `--` goes to `weft serve`.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { ensureBuilt } from "./lib/build.mjs";
import { ensureInstalled, ensureNode, main, ROOT } from "./lib/prepare.mjs";

await main(() => {
  ensureNode();
  ensureInstalled();
  ensureBuilt();
  const child = spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", join(ROOT, "apps/cli/dist/main.js"), "serve", ...process.argv.slice(2)],
    { stdio: "inherit" },
  );
  // The terminal sends Ctrl-C to parent and child alike; the child ends cleanly, the parent waits for it and takes over its code.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === null ? 1 : 0)));
});
