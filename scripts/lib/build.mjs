// Builds the web application and the command line, and skips what is already built from the sources as they are.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bin, ROOT, run, say } from "./prepare.mjs";

const SOURCES = ["packages", "apps/web", "apps/cli", "apps/coordinator", "vite.config.ts", "package-lock.json"];
const SKIPPED = new Set(["node_modules", "dist", "test"]);

function* files(path) {
  if (!existsSync(path)) return;
  if (!statSync(path).isDirectory()) {
    yield path;
    return;
  }
  for (const entry of readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!SKIPPED.has(entry.name) && !/\.test\.tsx?$/.test(entry.name)) yield* files(join(path, entry.name));
  }
}

/** A digest of names, sizes and times: cheap, and different whenever a source was touched. */
function sourcesDigest() {
  const hash = createHash("sha256");
  for (const source of SOURCES) {
    for (const file of files(join(ROOT, source))) {
      const { size, mtimeMs } = statSync(file);
      hash.update(`${file}\0${size}\0${mtimeMs}\n`);
    }
  }
  return hash.digest("hex");
}

export function ensureBuilt() {
  const stamp = join(ROOT, "apps/cli/dist/.built-from");
  const digest = sourcesDigest();
  if (existsSync(stamp) && existsSync(join(ROOT, "apps/web/dist/index.html")) && readFileSync(stamp, "utf8") === digest) return;
  say("Building the web application and the coordinator ...");
  run(bin("vite"), ["build", "--logLevel", "warn"], { why: "Building the web application" });
  run(process.execPath, ["apps/cli/build.mjs"], { why: "Building the coordinator" });
  writeFileSync(stamp, digest);
}
