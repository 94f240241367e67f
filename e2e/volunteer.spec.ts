// The volunteer's page as people use it: by keyboard, in two tabs, over a line that breaks, without a graphics card, and blocked.
import { expect, type Page, test } from "@playwright/test";
import type { RunDetail } from "@weft/protocol";
import { command } from "./support/admin.ts";
import { CoordinatorProcess, freePort } from "./support/coordinator.ts";
import { admittedAtLeast, browserWithoutGpu, pressByKeyboard, snapshotOf, stateBecomes, stateOf, tabTo } from "./support/pages.ts";
import { slowDigits } from "./support/specifications.ts";

/** A name of this machine that is no loopback name to a browser, so that plain HTTP under it is no secure context. */
const PLAIN_NAME = "weft.test";
const LEND = "Lend my graphics card";
let coordinator: CoordinatorProcess;

test.describe.configure({ timeout: 90_000 });
test.beforeAll(async () => {
  const port = await freePort();
  coordinator = await CoordinatorProcess.start({ port, more: ["--origin", `http://${PLAIN_NAME}:${port}`] });
});
test.afterAll(async () => {
  await coordinator.stop();
});

/** A run of its own for each test: nothing that one leaves behind is in another's way. */
async function newRun(name: string): Promise<string> {
  const reply = await command(coordinator, { type: "create-run", spec: slowDigits(name, 5_000) });
  return reply?.run ?? "";
}
const detailOf = (run: string): Promise<RunDetail> => coordinator.json<RunDetail>(`/api/runs/${run}`);
const button = (page: Page, name: string | RegExp) => page.getByRole("button", { name });

test("lending, effort, pausing, going on, finishing and stopping need only a keyboard", async ({ page }) => {
  const run = await newRun("by keyboard");
  await page.goto(`${coordinator.url}/?run=${run}`);
  await expect(page.getByText("by keyboard").first()).toBeVisible();
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "To the content" })).toBeFocused();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  // The content begins with links and the button; the bar with its links has been skipped.
  expect(await page.evaluate(() => document.activeElement?.closest("main") !== null)).toBe(true);
  await pressByKeyboard(page, button(page, LEND));
  await admittedAtLeast(page, 1);

  await tabTo(page, page.getByLabel("Effort"));
  await page.keyboard.press("ArrowLeft");
  await expect.poll(async () => (await snapshotOf(page)).effort).toBe(0.5);
  await page.keyboard.press("ArrowLeft");
  await expect.poll(async () => (await snapshotOf(page)).effort).toBe(0.25);
  await expect(page.getByRole("status").filter({ hasText: "25" })).toBeVisible();
  await page.keyboard.press("End");
  await expect.poll(async () => (await snapshotOf(page)).effort).toBe(1);

  await pressByKeyboard(page, button(page, "Pause"));
  await stateBecomes(page, /^paused$/);
  // The button went with its panel; the focus is at the head of what came instead, not at the top of the page.
  await expect(page.getByRole("heading", { name: "Your thread is resting." })).toBeFocused();
  await expect.poll(async () => (await detailOf(run)).round.leases.filter((lease) => lease.state === "out").length).toBe(0);
  const resting = (await snapshotOf(page)).admitted;

  await pressByKeyboard(page, button(page, "Go on weaving"));
  await admittedAtLeast(page, resting + 1);

  await expect(button(page, "Finish this lease, then stop")).toBeVisible();
  const before = (await snapshotOf(page)).admitted;
  await pressByKeyboard(page, button(page, "Finish this lease, then stop"));
  await stateBecomes(page, /^stopped$/);
  expect((await snapshotOf(page)).admitted).toBeGreaterThan(before);
  await expect(page.getByRole("heading", { name: "You are woven into by keyboard." })).toBeVisible();

  await pressByKeyboard(page, button(page, "Lend again"));
  await stateBecomes(page, /^working$/);
  await pressByKeyboard(page, page.getByRole("button", { name: "Stop", exact: true }));
  await stateBecomes(page, /^stopped$/);
  await expect(page.getByRole("heading", { name: "You are woven into by keyboard." })).toBeFocused();
  await expect.poll(async () => (await detailOf(run)).volunteersNow).toBe(0);
});

test("two tabs of one browser are one volunteer, and the second takes over when the first closes", async ({ browser }) => {
  const run = await newRun("two tabs of one");
  const context = await browser.newContext();
  // `lend=1` presses the button by itself.
  const first = await context.newPage();
  await first.goto(`${coordinator.url}/?run=${run}&lend=1`);
  await admittedAtLeast(first, 1);
  const second = await context.newPage();
  await second.goto(`${coordinator.url}/?run=${run}`);
  await button(second, LEND).click();
  await stateBecomes(second, /^elsewhere$/);
  await expect(second.getByRole("heading", { name: "You are already weaving, in another tab." })).toBeVisible();
  expect((await detailOf(run)).volunteersNow).toBe(1);

  const key = (await snapshotOf(first)).volunteer;
  await first.close();
  await admittedAtLeast(second, 1);
  expect((await snapshotOf(second)).volunteer).toBe(key);
  expect((await detailOf(run)).volunteersEver).toBe(1);
  await context.close();
});

test("a coordinator that goes away is told, and the page goes on by itself when it is back", async ({ page }) => {
  const run = await newRun("a line that breaks");
  await page.goto(`${coordinator.url}/?run=${run}`);
  await button(page, LEND).click();
  await admittedAtLeast(page, 1);
  await coordinator.stop();
  await stateBecomes(page, /^offline$/);
  await expect(page.getByText("Waiting for the line")).toBeVisible();
  await expect(page.getByRole("banner").getByText("The line is down")).toBeVisible();
  const before = (await snapshotOf(page)).admitted;
  await coordinator.restart();
  await admittedAtLeast(page, before + 1);
  await expect(page.getByText("The line is down")).toHaveCount(0);
});

test("a blocked volunteer is told so and gets no lease; let in again, it goes on", async ({ page }) => {
  const run = await newRun("behaving badly");
  await page.goto(`${coordinator.url}/?run=${run}`);
  await button(page, LEND).click();
  await admittedAtLeast(page, 1);
  const { volunteer } = await snapshotOf(page);
  await command(coordinator, { type: "block-volunteer", volunteer: volunteer ?? "" });
  await stateBecomes(page, /^refused$/);
  await expect(page.getByRole("heading", { name: "The coordinator said no." })).toBeVisible();
  await expect(page.getByText(/blocked/).first()).toBeVisible();
  // Whoever comes again with the same key is told again.
  await page.reload();
  await button(page, LEND).click();
  await stateBecomes(page, /^refused$/);
  expect((await snapshotOf(page)).admitted).toBe(0);
  await command(coordinator, { type: "unblock-volunteer", volunteer: volunteer ?? "" });
  await button(page, "Try again").click();
  await admittedAtLeast(page, 1);
});

test("a browser without a graphics card is told what helps, and its processor trains", async () => {
  const run = await newRun("on the processor");
  const browser = await browserWithoutGpu();
  try {
    const page = await browser.newPage();
    const refusedScripts: string[] = [];
    page.on("console", (message) => /Content Security Policy/.test(message.text()) && refusedScripts.push(message.text()));
    await page.goto(`${coordinator.url}/?run=${run}`);
    await expect(page.getByText("Another browser")).toBeVisible();
    await expect(button(page, LEND)).toHaveCount(0);
    expect(await stateOf(page)).toBe("idle");
    await button(page, "Lend the processor instead").click();
    await admittedAtLeast(page, 1);
    const { device, selfTest } = await snapshotOf(page);
    expect(device?.backend).toBe("wasm");
    const threads = Math.min(8, (await page.evaluate(() => (crossOriginIsolated ? navigator.hardwareConcurrency : 0))) - 1);
    expect(threads).toBeGreaterThan(0);
    expect(device?.description).toBe(threads > 1 ? `WebAssembly with SIMD, ${threads} threads` : "WebAssembly with SIMD");
    expect(selfTest?.passed).toBe(true);
    await expect(page.getByText("WebAssembly on the processor, self-test passed")).toBeVisible();
    expect(refusedScripts).toEqual([]);
  } finally {
    await browser.close();
  }
});

test("a page over plain HTTP from another machine says that HTTPS or localhost is needed", async () => {
  const browser = await browserWithoutGpu([`--host-resolver-rules=MAP ${PLAIN_NAME} 127.0.0.1`, "--no-proxy-server"]);
  try {
    const page = await browser.newPage();
    await page.goto(`http://${PLAIN_NAME}:${coordinator.port}/`);
    expect(await page.evaluate(() => isSecureContext)).toBe(false);
    await expect(page.getByRole("heading", { name: "The browser keeps its graphics card from plain HTTP." })).toBeVisible();
    await expect(page.getByText("--tls-cert and --tls-key")).toBeVisible();
    await expect(page.getByText("http://localhost with its port")).toBeVisible();
    await expect(button(page, /^Lend/)).toHaveCount(0);
  } finally {
    await browser.close();
  }
});

test("without a choice the coordinator gives what it has, and the next run when one is over", async ({ page }) => {
  await page.goto(`${coordinator.url}/`);
  await button(page, LEND).click();
  await admittedAtLeast(page, 1);
  expect((await detailOf("digits")).volunteersNow).toBe(1);
  const before = (await snapshotOf(page)).admitted;
  await command(coordinator, { type: "stop-run", run: "digits" });
  await expect.poll(async () => (await snapshotOf(page)).lease?.run, { timeout: 30_000, intervals: [50] }).toBe("austen");
  await expect(page.getByRole("heading", { name: /austen/ })).toBeVisible();
  await admittedAtLeast(page, before + 1);
});
