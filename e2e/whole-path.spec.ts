// The whole path: two browsers with WebGPU train a run, one leaves in the middle of a lease, the coordinator restarts in the middle,
// and the checkpoint that a researcher downloads is as good as the coordinator said, by code that shares nothing with ours.
import { readFile } from "node:fs/promises";
import { type Browser, expect, type Page, test } from "@playwright/test";
import type { DatasetManifest, LedgerRecord, RunDetail, RunSpecOf } from "@weft/protocol";
import type { VolunteerSnapshot } from "@weft/volunteer";
import { command, ledgerOf } from "./support/admin.ts";
import { CoordinatorProcess } from "./support/coordinator.ts";
import { accuracy, safetensors, unzip } from "./support/independent.ts";
import { slowDigits } from "./support/specifications.ts";

const TARGET = 0.95;
const VERSIONS = 60;
/** Steps of a lease that is long enough to be left in its middle: a tab takes a tenth of a second to close. */
const LONG = 24;
let coordinator: CoordinatorProcess;

test.beforeAll(async () => {
  coordinator = await CoordinatorProcess.start();
});
test.afterAll(async () => {
  await coordinator.stop();
});

const snapshotOf = (page: Page): Promise<VolunteerSnapshot> =>
  page.evaluate(() => (globalThis as unknown as { weft: { snapshot(): VolunteerSnapshot } }).weft.snapshot());

/** A page of its own browser profile: an identity of its own. */
async function lend(browser: Browser, run: string): Promise<Page> {
  const context = await browser.newContext({ acceptDownloads: true });
  const page = await context.newPage();
  await page.goto(`${coordinator.url}/?run=${run}`);
  await page.getByRole("button", { name: "Lend my graphics card" }).click();
  return page;
}

/** The same run in micro-batches of 4: four times the steps of a lease. */
const longLeases = (spec: RunSpecOf<"gradient">): RunSpecOf<"gradient"> => ({ ...spec, training: { ...spec.training, microBatch: 4 } });

test("two tabs train, one leaves, the coordinator restarts, and the checkpoint is as good as was said", async ({ browser }) => {
  test.setTimeout(480_000);
  const reply = await command(coordinator, { type: "create-run", spec: longLeases(slowDigits("two tabs", VERSIONS)) });
  const run = reply?.run ?? "";
  expect(run).toBe("two-tabs");
  const detail = (): Promise<RunDetail> => coordinator.json<RunDetail>(`/api/runs/${run}`);

  const staying = await lend(browser, run);
  const leaving = await lend(browser, run);
  for (const page of [staying, leaving]) {
    expect(await page.evaluate(async () => (await navigator.gpu?.requestAdapter()) !== null)).toBe(true);
    await expect.poll(async () => (await snapshotOf(page)).admitted, { timeout: 120_000 }).toBeGreaterThan(0);
    const { device } = await snapshotOf(page);
    expect(device?.backend).toBe("webgpu");
    await expect(page.getByText(/WebGPU/).first()).toBeVisible();
  }

  // One leaves in the middle of a lease; the lease goes to the other, whole. Where it was done or settled by the other first, another leaves.
  let page = leaving;
  let lenders = 2;
  let gone = "";
  for (let tries = 0; tries < 5; tries++) {
    gone = (await snapshotOf(page)).volunteer ?? "";
    await expect
      .poll(
        async () => {
          const { lease } = await snapshotOf(page);
          return lease?.phase === "computing" && lease.steps >= LONG && lease.step >= 1 && lease.step < lease.steps / 2;
        },
        { timeout: 120_000, intervals: [20] },
      )
      .toBe(true);
    await page.context().close();
    const left = (records: readonly LedgerRecord[]): boolean =>
      records.some(({ event }) => event.type === "assignment-ended" && event.volunteer === gone && event.reason === "left");
    const hasLeft = await expect
      .poll(async () => left(await ledgerOf(coordinator, run)), { timeout: 6_000 })
      .toBe(true)
      .then(
        () => true,
        () => false,
      );
    if (hasLeft) break;
    page = await lend(browser, run);
    lenders++;
  }
  const kept = (await snapshotOf(staying)).volunteer;
  let abandoned = "";
  await expect
    .poll(
      async () => {
        const records = await ledgerOf(coordinator, run);
        const ended = records.find(({ event }) => event.type === "assignment-ended" && event.volunteer === gone && event.reason === "left");
        if (ended?.event.type !== "assignment-ended") return "no lease of the one who left has ended";
        abandoned = ended.event.lease;
        const after = records.slice(ended.seq + 1).map(({ event }) => event);
        const given = after.some((event) => event.type === "lease-assigned" && event.lease === abandoned && event.volunteer === kept);
        const settled = after.some(
          (event) => event.type === "contribution-admitted" && event.header.lease === abandoned && event.header.volunteer === kept,
        );
        return given && settled ? "handed over" : "ended, not yet handed over";
      },
      { timeout: 60_000 },
    )
    .toBe("handed over");

  // The coordinator restarts in the middle; the page says so and heals by itself.
  const before = (await detail()).version;
  expect(before).toBeLessThan(VERSIONS);
  await coordinator.restart();
  await expect.poll(async () => (await detail()).version, { timeout: 120_000 }).toBeGreaterThan(before);

  await expect.poll(async () => (await detail()).phase, { timeout: 300_000 }).toBe("finished");
  const finished = await detail();
  await expect.poll(async () => (await detail()).newestCheckpoint?.version ?? -1, { timeout: 30_000 }).toBe(VERSIONS);
  await expect.poll(async () => (await detail()).accuracy ?? 0, { timeout: 30_000 }).toBeGreaterThanOrEqual(TARGET);

  // A researcher downloads the checkpoint from the page.
  await staying.goto(`${coordinator.url}/runs/${run}`);
  const downloading = staying.waitForEvent("download");
  await staying
    .getByRole("link", { name: new RegExp(`Download v${VERSIONS}`) })
    .first()
    .click();
  const archive = new Uint8Array(await readFile(await (await downloading).path()));
  const files = await unzip(archive);
  const model = [...files].find(([name]) => name.endsWith("model.safetensors"))?.[1];
  expect(model).toBeDefined();
  for (const name of ["config.json", "README.md", "train_config.json"])
    expect(
      [...files.keys()].some((file) => file.endsWith(`/${name}`)),
      name,
    ).toBe(true);

  // Independent code over the held-out images gives the same accuracy.
  const manifest = await coordinator.json<DatasetManifest>("/api/datasets/digits");
  const { form } = manifest;
  if (form.kind !== "images") throw new Error("digits are images");
  const values = form.height * form.width * form.channels;
  const images: number[][] = [];
  const labels: number[] = [];
  for (const shard of manifest.heldOut) {
    const bytes = await coordinator.bytes(`/blobs/${shard.sha256}`);
    for (let sample = 0; sample < shard.samples; sample++) {
      images.push([...bytes.subarray(sample * values, (sample + 1) * values)].map((value) => value / form.scale));
      labels.push(bytes[shard.samples * values + sample] ?? -1);
    }
  }
  expect(images.length).toBeGreaterThanOrEqual(359);
  const independent = accuracy(safetensors(model ?? new Uint8Array()), images, labels);
  const said = (await detail()).accuracy ?? 0;
  expect(independent).toBeGreaterThanOrEqual(TARGET);
  expect(Math.abs(independent - said)).toBeLessThan(1 / images.length);
  expect(finished.volunteersEver).toBe(lenders);
});
