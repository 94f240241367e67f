// `npm test`: installs what is missing (a browser too), then runs every check and every test, and says how many passed and failed.
// The tally is also written to test-results/tally.json. Nothing is skipped silently: a skipped test counts as failed.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { browserVersion, ensureBrowser } from "./lib/browser.mjs";
import { ensureBuilt } from "./lib/build.mjs";
import { CHECKS } from "./lib/checks.mjs";
import { bin, ensureInstalled, ensureNode, main, ROOT, Stop, say } from "./lib/prepare.mjs";

const RESULTS = join(ROOT, "test-results");
const totals = [];

const program = (args, env) =>
  spawnSync(bin(args[0]), args.slice(1), { cwd: ROOT, stdio: "inherit", env, shell: process.platform === "win32" }).status;

function stage(name, work) {
  const startedAtMs = Date.now();
  say(`\n— ${name}`);
  const { passed, failed } = work();
  totals.push({ name, passed, failed, seconds: Math.round((Date.now() - startedAtMs) / 1000) });
}

/** A runner that died before it wrote its report counts as one failure more than it reported. */
function tally(file, status, read) {
  if (!existsSync(file)) return { passed: 0, failed: 1 };
  const counted = read(JSON.parse(readFileSync(file, "utf8")));
  return status !== 0 && counted.failed === 0 ? { ...counted, failed: 1 } : counted;
}

const vitest = (project, env) => {
  const file = join(RESULTS, `${project}.json`);
  const status = program(
    ["vitest", "run", "--project", project, "--reporter=default", "--reporter=json", `--outputFile.json=${file}`],
    env,
  );
  return tally(file, status, (report) => ({ passed: report.numPassedTests, failed: report.numTotalTests - report.numPassedTests }));
};

const playwright = (env) => {
  const file = join(RESULTS, "e2e.json");
  const status = program(["playwright", "test", "--config", "e2e/playwright.config.ts"], { ...env, PLAYWRIGHT_JSON_OUTPUT_FILE: file });
  return tally(file, status, ({ stats }) => ({ passed: stats.expected, failed: stats.unexpected + stats.flaky + stats.skipped }));
};

await main(async () => {
  ensureNode();
  ensureInstalled();
  const chromium = await ensureBrowser();
  say(`Browser: ${browserVersion(chromium)}`);
  rmSync(RESULTS, { recursive: true, force: true });
  mkdirSync(RESULTS, { recursive: true });
  const env = { ...process.env, WEFT_CHROMIUM: chromium, WEFT_ALLOW_SOFTWARE_GPU: "1" };

  for (const { name, command, args } of CHECKS) {
    stage(name, () =>
      spawnSync(command, args, { cwd: ROOT, stdio: "inherit", shell: process.platform === "win32" }).status === 0
        ? { passed: 1, failed: 0 }
        : { passed: 0, failed: 1 },
    );
  }
  stage("build", () => {
    ensureBuilt();
    return { passed: 1, failed: 0 };
  });
  stage("unit tests", () => vitest("unit", env));
  stage("kernel and engine tests in the browser", () => vitest("browser", env));
  stage("end to end", () => playwright(env));

  say("");
  for (const { name, passed, failed, seconds } of totals)
    say(`${failed === 0 ? "ok    " : "FAILED"}  ${name}: ${passed} passed, ${failed} failed, ${seconds} s`);
  const passed = totals.reduce((sum, total) => sum + total.passed, 0);
  const failed = totals.reduce((sum, total) => sum + total.failed, 0);
  writeFileSync(join(RESULTS, "tally.json"), `${JSON.stringify({ passed, failed, stages: totals }, null, 2)}\n`);
  say(`\n${passed} passed, ${failed} failed`);
  if (failed > 0) throw new Stop("");
});
