// Finds a Chromium for the tests: the one named by WEFT_CHROMIUM, Playwright's, the system's; else installs one, or says what to do.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { bin, run, Stop, say } from "./prepare.mjs";

const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome", "chrome.exe"];
const PLACES = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
];
const PLAYWRIGHT_INSTALL_MS = 300_000;

async function playwrights() {
  const { chromium } = await import("playwright");
  const path = chromium.executablePath();
  return path !== "" && existsSync(path) ? path : null;
}

function systems() {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    for (const name of NAMES) {
      const path = join(folder, name);
      if (existsSync(path)) return path;
    }
  }
  return PLACES.find((path) => existsSync(path)) ?? null;
}

const isRootOnDebian = () => process.getuid?.() === 0 && existsSync("/etc/debian_version");

function attempt(command, args, options) {
  try {
    run(command, args, options);
    return true;
  } catch (error) {
    if (error instanceof Stop) return false;
    throw error;
  }
}

/** Absolute path of a Chromium or Chrome. Throws Stop with what to do where there is none and none can be installed. */
export async function ensureBrowser() {
  const named = process.env.WEFT_CHROMIUM;
  if (named !== undefined && named !== "") {
    if (!existsSync(named))
      throw new Stop(`WEFT_CHROMIUM names ${named}, which does not exist. Set it to a Chromium or Chrome, or unset it.`);
    return named;
  }
  const found = (await playwrights()) ?? systems();
  if (found !== null) return found;
  say("No Chromium here. Installing one through Playwright ...");
  if (attempt(bin("playwright"), ["install", "chromium"], { quiet: true, timeoutMs: PLAYWRIGHT_INSTALL_MS })) {
    const path = await playwrights();
    if (path !== null) return path;
  }
  if (isRootOnDebian()) {
    say("Playwright could not; installing Debian's chromium through apt ...");
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    attempt("apt-get", ["update", "-qq"], { quiet: true, env });
    if (attempt("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-liberation"], { quiet: true, env })) {
      const path = systems();
      if (path !== null) return path;
    }
  }
  throw new Stop(
    "The tests need Chromium or Chrome with WebGPU, and none could be found or installed. " +
      "Install one (Debian: apt-get install chromium; elsewhere: npx playwright install chromium) or name it with WEFT_CHROMIUM=/path/to/chrome.",
  );
}

export function browserVersion(path) {
  try {
    return execFileSync(path, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return path;
  }
}
