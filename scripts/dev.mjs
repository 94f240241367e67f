// `npm run dev`: the coordinator from its TypeScript sources, restarted when they change, and Vite's development server beside it.
import { spawn } from "node:child_process";
import { bin, ensureInstalled, ensureNode, main, ROOT, say } from "./lib/prepare.mjs";

const PAGES = "http://localhost:5173";

await main(() => {
  ensureNode();
  ensureInstalled();
  say(`Pages with hot reload: ${PAGES}    Coordinator: http://localhost:8787`);
  const options = { cwd: ROOT, stdio: "inherit", shell: process.platform === "win32" };
  const serve = ["apps/cli/src/main.ts", "serve", "--volunteers", "0", "--dev-origin", PAGES, ...process.argv.slice(2)];
  const children = [spawn(bin("tsx"), ["watch", "--clear-screen=false", ...serve], options), spawn(bin("vite"), [], options)];
  const end = () => {
    for (const child of children) child.kill("SIGTERM");
  };
  process.on("SIGINT", end);
  process.on("SIGTERM", end);
  for (const child of children)
    child.on("exit", (code) => {
      process.exitCode ??= code ?? 0;
      end();
    });
});
