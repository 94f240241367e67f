// `npm run dev`: the coordinator from its TypeScript sources, restarted when they change, and Vite's development server beside it.
import { spawn } from "node:child_process";
import { ensureInstalled, ensureNode, main, ROOT, say } from "./lib/prepare.mjs";

await main(() => {
  ensureNode();
  ensureInstalled();
  say("Pages with hot reload: http://localhost:5173    Coordinator: http://localhost:8787");
  const options = { cwd: ROOT, stdio: "inherit", shell: process.platform === "win32" };
  const children = [
    spawn(
      "npx",
      [
        "--no-install",
        "tsx",
        "watch",
        "--clear-screen=false",
        "apps/cli/src/main.ts",
        "serve",
        "--volunteers",
        "0",
        "--dev-origin",
        "http://localhost:5173",
        ...process.argv.slice(2),
      ],
      options,
    ),
    spawn("npx", ["--no-install", "vite"], options),
  ];
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
