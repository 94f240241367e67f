// `npm start`: install, build, then serve. Everything after `--` goes to `weft serve`.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { ensureBuilt } from "./lib/build.mjs";
import { ensureInstalled, ensureNode, main, ROOT } from "./lib/prepare.mjs";

// glibc keeps buffers of a megabyte, once freed, in an arena for each thread: a coordinator under load would hold twice what it uses. With these
// such buffers go back to the system at once. They are read when a process begins, so they cannot be set later; other systems do without.
const ALLOCATOR = process.platform === "linux" ? { MALLOC_ARENA_MAX: "2", MALLOC_MMAP_THRESHOLD_: "131072" } : {};

await main(() => {
  ensureNode();
  ensureInstalled();
  ensureBuilt();
  const child = spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", join(ROOT, "apps/cli/dist/main.js"), "serve", ...process.argv.slice(2)],
    { stdio: "inherit", env: { ...ALLOCATOR, ...process.env } },
  );
  // The terminal sends Ctrl-C to parent and child alike; the child ends cleanly, the parent waits for it and takes over its code.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === null ? 1 : 0)));
});
