// `weft donate`: what it refuses, and as a process of its own against a real coordinator: it works, and it leaves as it should.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, vi } from "vitest";
import { digitsRun } from "../../../coordinator/src/demonstration.ts";
import { startTestCoordinator } from "../../../coordinator/src/test/harness.ts";
import { refusal, weft } from "../test/weft.ts";
import { WITHOUT_DAWN } from "../volunteer/dawn.ts";

vi.setConfig({ testTimeout: 90_000 });
// Whoever runs the tests may have the package.
vi.mock("../volunteer/dawn.ts", async (original) => ({
  ...(await original<typeof import("../volunteer/dawn.ts")>()),
  hasDawn: () => false,
}));

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

const donate = (...args: string[]) => donateWith({}, ...args);

function donateWith(env: NodeJS.ProcessEnv, ...args: string[]) {
  const child = spawn(process.execPath, ["--import", "tsx", MAIN, "donate", ...args], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (text) => {
    out += String(text);
  });
  child.stderr.on("data", (text) => {
    err += String(text);
  });
  const ended = new Promise<{ readonly code: number | null; readonly last: string; readonly err: string }>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, last: out.trim().split("\n").at(-1) ?? "", err }));
  });
  return { child, ended };
}

describe("weft donate", () => {
  it("says how to get WebGPU for Node where it is asked for and missing", async () => {
    expect(await refusal(["donate", "--backend", "webgpu"])).toBe(WITHOUT_DAWN);
  });

  it.each([
    ["--hours", "0"],
    ["--hours", "600"],
    ["--hours", "soon"],
    ["--effort", "0.01"],
    ["--effort", "2"],
    ["--backend", "quantum"],
    ["--name", " "],
  ])("refuses %s %s", async (option, value) => {
    const { code, err } = await weft(["donate", option, value]);
    expect([code, err.startsWith(`error: option '${option} `)]).toEqual([1, true]);
  });

  it("ends at once, in one sentence, where WebGPU is asked for and has no adapter", async () => {
    const folder = mkdtempSync(join(tmpdir(), "weft-dawn-"));
    try {
      // Found where the real package is not installed; that one finds no adapter either where there is no GPU.
      mkdirSync(join(folder, "webgpu"));
      writeFileSync(
        join(folder, "webgpu", "index.js"),
        "exports.globals = {};\nexports.create = () => ({ requestAdapter: async () => null });\n",
      );
      const { code, last, err } = await donateWith({ NODE_PATH: folder }, "http://127.0.0.1:9", "--backend", "webgpu").ended;
      expect([code, last]).toEqual([1, ""]);
      expect(err.trim().split("\n")).toEqual([expect.stringMatching(/^There is no GPU to lend here: .*adapter.*the processor is lent\.$/)]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("works, says goodbye when it is interrupted, and leaves by itself when its hours are over", async () => {
    const coordinator = await startTestCoordinator();
    try {
      const core = coordinator.started.coordinator;
      const run = { ...digitsRun(), training: { ...digitsRun().training, versions: 100_000 } };
      expect((await core.createRun(run, "test")).ok).toBe(true);
      const interrupted = donate(coordinator.origin, "--backend", "wasm", "--name", "ada");
      const timed = donate(coordinator.origin, "--backend", "wasm", "--name", "bob", "--hours", "0.002");
      // Bob's seven seconds may be over before his device is tested, where a machine has much to do.
      const working = () =>
        core
          .detail("digits")
          ?.volunteers.filter(({ samples }) => samples > 0)
          .map(({ name }) => name)
          .sort();
      await vi.waitFor(() => expect(working()).toContain("ada"), { timeout: 60_000, interval: 100 });
      interrupted.child.kill("SIGINT");
      const [first, second] = [await interrupted.ended, await timed.ended];
      expect([first.code, first.err, second.code, second.err]).toEqual([0, "", 0, ""]);
      expect(first.last).toMatch(/^ada · stopped · .*[1-9]\d* samples.*WebAssembly with SIMD(, \d threads)?$/);
      expect(second.last).toMatch(/^bob · stopped · /);
      await vi.waitFor(() => expect(core.detail("digits")?.volunteersNow).toBe(0), { timeout: 5_000 });
    } finally {
      await coordinator.end();
    }
  });
});
