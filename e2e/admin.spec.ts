// The admin's way: the one-time link, a password, the desk, and every command clicked and seen to take effect at the coordinator.
import { type Browser, expect, type Page, test } from "@playwright/test";
import type { RunDetail, RunSummary } from "@weft/protocol";
import { CoordinatorProcess } from "./support/coordinator.ts";
import { admittedAtLeast, holdsUp, snapshotOf, stateBecomes, WIDTHS_PX } from "./support/pages.ts";
import { slowDigits } from "./support/specifications.ts";

const ADMIN = { name: "Ada", email: "ada@weft.test", password: "a loom of one's own" } as const;
let coordinator: CoordinatorProcess;
let adminUrl = "";
/** The admin's one page through the whole file: the tests are the steps of one visit, in order. */
let page: Page;

test.describe.configure({ mode: "serial", timeout: 60_000 });
test.beforeAll(async ({ browser }) => {
  coordinator = await CoordinatorProcess.start();
  adminUrl = coordinator.adminUrl;
  page = await (await browser.newContext()).newPage();
});
test.afterAll(async () => {
  await page.context().close();
  await coordinator.stop();
});

const button = (name: string | RegExp, on: Page = page) => on.getByRole("button", { name });
const detailOf = (run: string): Promise<RunDetail> => coordinator.json<RunDetail>(`/api/runs/${run}`);
const phaseBecomes = (run: string, phase: string): Promise<void> => expect.poll(async () => (await detailOf(run)).phase).toBe(phase);
const inNewContext = async <T>(browser: Browser, visit: (other: Page) => Promise<T>): Promise<T> => {
  const context = await browser.newContext();
  try {
    return await visit(await context.newPage());
  } finally {
    await context.close();
  }
};

test("the link from the terminal signs in once, and leaves the address at once", async ({ browser }) => {
  await inNewContext(browser, async (stranger) => {
    await stranger.goto(`${coordinator.url}/admin`);
    await expect(stranger.getByText("Nobody administers this coordinator yet.")).toBeVisible();
  });
  await page.goto(adminUrl);
  await expect(page.getByRole("heading", { name: "Make it yours" })).toBeVisible();
  expect(page.url()).toBe(`${coordinator.url}/admin`);
  await inNewContext(browser, async (second) => {
    await second.goto(adminUrl);
    await expect(second.getByRole("alert")).toContainText(/used|spent|expired|valid/i);
    await expect(second.getByRole("heading", { name: "Sign in" })).toBeVisible();
  });
});

test("a password is chosen; signing out and in again needs it, and a wrong one is named", async () => {
  await page.getByLabel("Name").fill(ADMIN.name);
  await page.getByLabel("E-mail").fill(ADMIN.email);
  await page.getByLabel("Password").fill(ADMIN.password);
  await button("Keep and go to the desk").click();
  await expect(page.getByText(`Signed in as ${ADMIN.name}.`)).toBeVisible();
  await button("Sign out").click();
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  expect(
    (await page.request.post(`${coordinator.url}/api/admin/command`, { data: {}, headers: { origin: coordinator.url } })).status(),
  ).toBe(401);

  await page.getByLabel("E-mail").fill(ADMIN.email);
  await page.getByLabel("Password").fill("another loom entirely");
  await button("Sign in").click();
  await expect(page.getByRole("alert")).toContainText(/password/i);
  await page.getByLabel("Password").fill(ADMIN.password);
  await button("Sign in").click();
  await expect(page.getByText(`Signed in as ${ADMIN.name}.`)).toBeVisible();
});

test("a wrong specification is answered with its field, the rule and a good value; a right one runs", async () => {
  await button("New").click();
  const text = page.getByLabel("Specification");
  const spec = slowDigits("from the desk", 5_000);
  await text.fill("{ not JSON");
  await button("Create and start").click();
  await expect(page.getByText(/is not JSON/)).toBeVisible();
  await text.fill(JSON.stringify({ ...spec, training: { ...spec.training, samplesPerVersion: -1 } }));
  await button("Create and start").click();
  await expect(page.getByText("training.samplesPerVersion")).toBeVisible();
  await expect(page.getByText(/for example \d+/)).toBeVisible();
  // What only the coordinator can know: it has no such data.
  await text.fill(JSON.stringify({ ...spec, dataset: "no-such-data" }));
  await button("Create and start").click();
  await expect(
    page
      .locator("dialog")
      .getByText(/no-such-data/)
      .last(),
  ).toBeVisible();
  await expect(page.locator("dialog .notice")).toBeVisible();
  expect((await coordinator.json<RunSummary[]>("/api/runs")).some(({ name }) => name === spec.name)).toBe(false);

  await text.fill(JSON.stringify(spec));
  await button("Create and start").click();
  await expect(page.locator("dialog")).toHaveCount(0);
  await expect(page.getByRole("heading", { name: spec.name })).toBeVisible();
  await phaseBecomes("from-the-desk", "running");
});

test("a run is paused and goes on", async () => {
  await button("Pause").click();
  await phaseBecomes("from-the-desk", "paused");
  await expect(page.locator(".top .state")).toHaveText("Paused");
  await page.getByRole("button", { name: "Resume", exact: true }).click();
  await phaseBecomes("from-the-desk", "running");
  await expect(button("Pause")).toBeVisible();
});

test("a volunteer is seen live, blocked after a question, and let in again", async ({ browser }) => {
  await inNewContext(browser, async (tab) => {
    await tab.goto(`${coordinator.url}/?run=from-the-desk`);
    await button("Lend my graphics card", tab).click();
    await admittedAtLeast(tab, 1);
    const { volunteer } = await snapshotOf(tab);
    const viewOf = async () => (await detailOf("from-the-desk")).volunteers.find((view) => view.volunteer === volunteer);
    const row = page.getByRole("table").getByRole("row").filter({ hasText: "WebGPU" });
    await expect(row).toHaveCount(1);
    await expect(
      page.getByRole("row", { name: /Time so far: \d+ % computing, \d+ % uploading, \d+ % downloading, \d+ % waiting/ }),
    ).toBeVisible();
    for (const width of WIDTHS_PX) await holdsUp(page, "admin-volunteer", width);

    await button(/^Block /).click();
    await expect(page.getByRole("dialog")).toContainText("gets no lease any more");
    await button("Let it be").click();
    await expect(page.getByRole("dialog")).toHaveCount(0);
    expect((await viewOf())?.blocked).toBe(false);

    await button(/^Block /).click();
    await page.getByRole("dialog").getByRole("button", { name: "Block" }).click();
    await expect.poll(async () => (await viewOf())?.blocked).toBe(true);
    await stateBecomes(tab, /^refused$/);
    await button(/^Unblock /).click();
    await expect.poll(async () => (await viewOf())?.blocked).toBe(false);
    await button("Try again", tab).click();
    await admittedAtLeast(tab, 1);
  });
});

test("a run is stopped for good after a question", async () => {
  await button("Stop…").click();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  expect((await detailOf("from-the-desk")).phase).toBe("running");
  await button("Stop…").click();
  await button("Stop from the desk").click();
  await phaseBecomes("from-the-desk", "stopped");
  await expect(page.locator(".top .state")).toHaveText("Stopped");
  await expect(button("Pause")).toHaveCount(0);
  await expect(button("Stop…")).toHaveCount(0);
});
