// A failing seed is told in its smallest form, and what is told can be run: shown on coordinators that are broken on purpose.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { commandFor, parseCommand } from "./command.ts";
import type { SimulationOptions } from "./plan.ts";
import { describeFailure, shrink } from "./shrink.ts";
import { type Outcome, simulate } from "./simulate.ts";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const SLOW = { timeout: 300_000 };

async function firstFailure(form: Omit<SimulationOptions, "seed">): Promise<Outcome> {
  for (let seed = 0; seed < 60; seed += 1) {
    const outcome = await simulate({ seed, ...form });
    if (outcome.violation !== null) return outcome;
  }
  throw new Error("no seed fails");
}

/** What a terminal shows of it, and its exit code. */
function run(command: string): Promise<{ readonly code: number; readonly text: string }> {
  const [npx, tsx, ...words] = command.split(" ");
  expect([npx, tsx]).toEqual(["npx", "tsx"]);
  return new Promise((resolve) => {
    const child = execFile(process.execPath, ["--import", "tsx", ...words], { cwd: ROOT }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, text: stdout + stderr }),
    );
  });
}

test("a record that is lost with the power is shrunk to that, and the command that is printed fails in the same way", SLOW, async () => {
  const first = await firstFailure({ size: "small", volunteers: 8, versions: 6, mutation: "waits-for-no-disk" });
  expect(first.violation?.invariant).toBe("ledger-only-grows");
  const shrunk = await shrink(first);
  const { options, outcome } = shrunk;
  expect(outcome.violation?.invariant).toBe("ledger-only-grows");
  expect(options).toMatchObject({ seed: first.options.seed, size: "small", mutation: "waits-for-no-disk" });
  expect(outcome.events).toBeLessThan(first.events);
  expect(Object.keys(outcome.faults).length).toBeLessThan(Object.keys(first.faults).length);
  const told = describeFailure(shrunk, first);
  const command = /smallest form: {2}(.*?) {3}\(/.exec(told)?.[1] ?? "";
  expect(told).toContain(outcome.violation?.message);
  const again = await run(command);
  expect(again.text).toContain(outcome.violation?.message);
  expect(again.code).toBe(1);
});

test("a failure that needs neither faults nor others is shrunk to one volunteer, one version and no fault", SLOW, async () => {
  const first = await firstFailure({ size: "small", volunteers: 8, versions: 6, mutation: "skips-a-version" });
  const { options, outcome } = await shrink(first);
  expect(options).toMatchObject({ volunteers: 1, versions: 1 });
  expect(outcome.violation?.invariant).toBe("versions-rise-by-one");
  expect(outcome.faults).toEqual({});
});

test("a seed that fails by itself alone is its own smallest form", async () => {
  const failed = await simulate({ seed: 1, size: "small", volunteers: 2, versions: 1, mutation: "skips-a-version" });
  const shrunk = await shrink(failed, { run: (options) => Promise.resolve({ ...failed, options, violation: null }) });
  expect(shrunk.options).toEqual(failed.options);
  expect(shrunk.outcome).toBe(failed);
});

test("every command is read as it was written", () => {
  const forms: readonly SimulationOptions[] = [
    { seed: 0, size: "small" },
    { seed: 12, size: "large", volunteers: 3, versions: 2 },
    { seed: 4_000_000, size: "small", without: ["drop", "two-tabs"], mutation: "never-closes" },
  ];
  for (const form of forms) expect(parseCommand(commandFor(form).split(" ").slice(3)).options).toEqual(form);
  for (const words of ["", "seven", "7 --without thunder", "7 --mutation none", "7 --volunteers -1"])
    expect(() => parseCommand(words.split(" "))).toThrow();
});
