// Two fresh processes, the same script: the same ledger to the last bit. Clocks, zones and random hashes of the process must not show.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { ScriptedOutcome } from "./scripted-run.ts";

const script = fileURLToPath(new URL("./scripted-run.ts", import.meta.url));

async function inFreshProcess(zone: string): Promise<ScriptedOutcome> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", script], {
    env: { ...process.env, TZ: zone },
    timeout: 60_000,
  });
  return JSON.parse(stdout) as ScriptedOutcome;
}

test("two fresh processes come to the same ledger head, and recomputing gives the published weights", { timeout: 120_000 }, async () => {
  const first = await inFreshProcess("UTC");
  const second = await inFreshProcess("Asia/Kathmandu");
  expect(first.head).toMatch(/^[0-9a-f]{64}$/);
  expect(first.records).toBeGreaterThan(40);
  expect(second).toEqual(first);
  expect(first.same).toBe(true);
  expect(first.recomputed).toBe(first.published);
});
