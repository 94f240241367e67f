// What each command needs before it can run: a Node that is new enough, and the dependencies of the lockfile. Plain Node, no dependency.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const ROOT = new URL("../..", import.meta.url).pathname.replace(/^\/([A-Za-z]:)/, "$1");
const STAMP = join(ROOT, "node_modules", ".weft-lock");

export class Stop extends Error {}

export const say = (line) => process.stdout.write(`${line}\n`);

/** A program that a dependency installed, called directly: npx would add its own noise and a second of its own. */
export const bin = (name) => join(ROOT, "node_modules", ".bin", name);

/** Runs a command to its end with the terminal's own streams; a failure stops everything with one sentence. */
export function run(command, args, options = {}) {
  const { quiet = false, why = `${command} ${args.join(" ")}`, env = process.env, timeoutMs } = options;
  const done = spawnSync(command, args, {
    cwd: ROOT,
    env,
    stdio: quiet ? ["ignore", "pipe", "pipe"] : ["ignore", "inherit", "inherit"],
    encoding: "utf8",
    shell: process.platform === "win32",
    ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }),
  });
  if (done.status !== 0) throw new Stop(`${why} failed${quiet ? `:\n${done.stdout ?? ""}${done.stderr ?? ""}` : "."}`);
}

export function ensureNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const ok = major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19);
  if (!ok)
    throw new Stop(
      `Weft needs Node 20.19 or newer (22.12 or newer on the 22 line); this is ${process.versions.node}. Get it from https://nodejs.org.`,
    );
}

/** Installs what the lockfile names, once for each state of the lockfile. */
export function ensureInstalled() {
  const lock = createHash("sha256")
    .update(readFileSync(join(ROOT, "package-lock.json")))
    .digest("hex");
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === lock) return;
  say("Installing dependencies (once; a minute or so) ...");
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { why: "Installing the dependencies with npm ci" });
  writeFileSync(STAMP, lock);
}

/** Runs the steps of one command; an expected failure is one sentence and exit code 1. */
export async function main(steps) {
  try {
    await steps();
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
