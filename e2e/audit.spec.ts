// What is proved of a run that a browser tab and a Node volunteer trained together: it is exported, its coordinator and folder are gone, and the
// file alone is verified, replayed, changed by a byte, and trained on. WEFT_AUDIT_VERSIONS asks for more versions than the twelve of a test.
import { spawn } from "node:child_process";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, type Page, test } from "@playwright/test";
import type { LedgerRecord, RunDetail, RunSpec } from "@weft/protocol";
import { command, ledgerOf } from "./support/admin.ts";
import { CoordinatorProcess, temporaryFolder } from "./support/coordinator.ts";
import { admittedAtLeast, snapshotOf } from "./support/pages.ts";
import { slowDigits } from "./support/specifications.ts";
import { WEFT, weft } from "./support/weft.ts";

const VERSIONS = Number(process.env.WEFT_AUDIT_VERSIONS ?? 12);

const specification = (): RunSpec => {
  const digits = slowDigits("proved", VERSIONS);
  return {
    ...digits,
    training: { ...digits.training, samplesPerVersion: 256, optimizer: { ...digits.training.optimizer, learningRate: 0.01 } },
    checkpoints: { everyVersions: VERSIONS },
    retention: { contributions: "all" },
  };
};

async function lend(page: Page, coordinator: CoordinatorProcess, run: string): Promise<void> {
  await page.goto(`${coordinator.url}/?run=${run}`);
  await page.getByRole("button", { name: "Lend my graphics card" }).click();
  await admittedAtLeast(page, 1, 120_000);
  expect((await snapshotOf(page)).device?.backend).toBe("webgpu");
}

/** Leases that each kind of device settled. */
function settledBy(records: readonly LedgerRecord[]): Readonly<Record<string, number>> {
  const backends = new Map<string, string>();
  const settled: Record<string, number> = {};
  for (const { event } of records) {
    if (event.type === "volunteer-joined") backends.set(event.volunteer, event.device.backend);
    if (event.type !== "contribution-admitted") continue;
    const backend = backends.get(event.header.volunteer) ?? "unknown";
    settled[backend] = (settled[backend] ?? 0) + 1;
  }
  return settled;
}

test("a run of a tab and a Node volunteer is proved and replayed from its archive alone, and trained on elsewhere", async ({ page }) => {
  test.setTimeout(120_000 + 6_000 * VERSIONS + 240_000);
  let coordinator = await CoordinatorProcess.start();
  const reply = await command(coordinator, { type: "create-run", spec: specification() });
  const run = reply?.run ?? "";
  const detail = (): Promise<RunDetail> => coordinator.json<RunDetail>(`/api/runs/${run}`);
  await lend(page, coordinator, run);
  // So that the tab does not do it all while Node is starting.
  await command(coordinator, { type: "pause-run", run });
  const node = spawn(process.execPath, [WEFT, "donate", coordinator.url, "--run", run, "--name", "node", "--backend", "wasm"], {
    stdio: "ignore",
  });
  const half = Math.floor(VERSIONS / 2);
  const elsewhere = await temporaryFolder();
  const archive = join(elsewhere, "proved.weft");
  try {
    const volunteersNow = async (): Promise<number> => (await coordinator.json<{ volunteersNow: number }>("/api/info")).volunteersNow;
    await expect.poll(volunteersNow, { timeout: 60_000 }).toBe(2);
    await command(coordinator, { type: "resume-run", run });
    await expect.poll(async () => (await detail()).version, { timeout: 60_000 + 6_000 * VERSIONS }).toBeGreaterThanOrEqual(half);
    // While it is trained: what is asked over HTTP is proved too, and an archive catches the run at one record.
    const live = await weft(elsewhere, "verify", run, "--url", coordinator.url);
    expect(live.out).toContain("Proved in");
    await weft(elsewhere, "runs", "export", run, "--out", "half.weft", "--url", coordinator.url);
    await expect.poll(async () => (await detail()).phase, { timeout: 60_000 + 6_000 * VERSIONS }).toBe("finished");
  } finally {
    node.kill("SIGTERM");
  }
  await expect.poll(async () => (await detail()).newestCheckpoint?.version ?? -1, { timeout: 30_000 }).toBe(VERSIONS);
  const published = (await detail()).weights.sha256;
  const settled = settledBy(await ledgerOf(coordinator, run));
  expect(settled.webgpu).toBeGreaterThan(0);
  expect(settled.wasm ?? settled.cpu ?? 0).toBeGreaterThan(0);

  const exported = await weft(elsewhere, "runs", "export", run, "--out", join(coordinator.data, "proved.weft"), "--url", coordinator.url);
  expect(exported.code, exported.out).toBe(0);
  await copyFile(join(coordinator.data, "proved.weft"), archive);
  await page.close();
  await coordinator.stop();
  await rm(coordinator.data, { recursive: true, force: true });

  // Nothing is left of the coordinator: the file must do.
  const verified = await weft(elsewhere, "verify", "proved.weft");
  expect(verified.code, verified.out).toBe(0);
  expect(verified.out).toContain(`Versions 1 to ${VERSIONS} can be recomputed from version 0.`);
  const replayed = await weft(elsewhere, "replay", "proved.weft", "--json");
  expect(replayed.code, replayed.out).toBe(0);
  const [found] = (JSON.parse(replayed.out) as { runs: { same: number; versions: { published: string }[] }[] }).runs;
  expect(found?.same).toBe(VERSIONS + 1);
  expect(found?.versions.at(-1)?.published).toBe(published);

  // One byte, anywhere.
  const bytes = await readFile(archive);
  for (const share of [0.1, 0.5, 0.9]) {
    const changed = Buffer.from(bytes);
    const at = Math.floor(share * changed.length);
    changed[at] = (changed[at] ?? 0) ^ 1;
    await writeFile(join(elsewhere, "changed.weft"), changed);
    const { code, out } = await weft(elsewhere, "verify", "changed.weft");
    expect([code, out]).toEqual([
      1,
      expect.stringMatching(/of version \d+|to lease \d+|record \d+|[Ss]hard|specification|manifest|table of contents/),
    ]);
  }

  // The half of it goes on at another coordinator, and the whole is proved there under the new key.
  const data = join(elsewhere, "data");
  await mkdir(data);
  const imported = await weft(elsewhere, "runs", "import", "half.weft", "--data", data);
  expect(imported.code, imported.out).toBe(0);
  coordinator = await CoordinatorProcess.start({ data, volunteers: 0 });
  const before = (await detail()).version;
  expect(before).toBeGreaterThanOrEqual(half);
  const helper = spawn(process.execPath, [WEFT, "donate", coordinator.url, "--run", run, "--name", "later", "--backend", "wasm"], {
    stdio: "ignore",
  });
  try {
    await expect.poll(async () => (await detail()).phase, { timeout: 60_000 + 3_000 * VERSIONS }).toBe("finished");
  } finally {
    helper.kill("SIGTERM");
  }
  const whole = await weft(elsewhere, "verify", run, "--url", coordinator.url);
  expect(whole.out).toMatch(/heads are signed by [0-9a-f]{64}, from record \d+ on by [0-9a-f]{64}\./);
  expect(whole.code).toBe(0);
  await coordinator.stop();
  // Who asks for a long run wants to see its figures.
  if (process.env.WEFT_AUDIT_VERSIONS === undefined) return;
  const again = await weft(elsewhere, "replay", "proved.weft");
  process.stdout.write(`${archive}\nleases settled: ${JSON.stringify(settled)}\n${exported.out}${verified.out}${again.out}`);
});
