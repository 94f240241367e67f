// Every page in every main state: no serious fault of accessibility, no sideways scroll, all of it by keyboard, and a picture kept of each.
// A small run is trained first, so that there is a cloth to show, a checkpoint to download and a model to try.
import { expect, type Page, test } from "@playwright/test";
import type { RunDetail, RunSpec } from "@weft/protocol";
import type { VolunteerStatus } from "@weft/volunteer";
import { command } from "./support/admin.ts";
import { CoordinatorProcess } from "./support/coordinator.ts";
import {
  admittedAtLeast,
  holdsUp,
  lendOnPaper,
  pressByKeyboard,
  snapshotOf,
  stateBecomes,
  type Theme,
  tabTo,
  WIDTHS_PX,
} from "./support/pages.ts";
import { slowDigits } from "./support/specifications.ts";

const VERSIONS = 12;
const RUN = "small-digits";
/** The main states are looked at in the dark too. */
const MAIN: readonly (readonly [widthPx: number, theme: Theme])[] = [
  [390, "light"],
  [1280, "dark"],
  [1280, "light"],
];
let coordinator: CoordinatorProcess;
/** A profile that has trained: its stretches of the cloth are its own. */
let trained: Page;

/** Finished in seconds, with four checkpoints. */
const smallDigits = (): RunSpec => {
  const spec = slowDigits("small digits", VERSIONS);
  return {
    ...spec,
    training: { ...spec.training, samplesPerVersion: 256, microBatch: 64 },
    evaluation: { everyVersions: 2, samples: 360 },
    checkpoints: { everyVersions: 3 },
  };
};
const detailOf = (run: string): Promise<RunDetail> => coordinator.json<RunDetail>(`/api/runs/${run}`);

test.describe.configure({ timeout: 240_000 });
test.beforeAll(async ({ browser }) => {
  test.setTimeout(240_000);
  coordinator = await CoordinatorProcess.start();
  await command(coordinator, { type: "create-run", spec: smallDigits() });
  trained = await (await browser.newContext()).newPage();
  await trained.goto(`${coordinator.url}/?run=${RUN}&lend=1`);
  await expect.poll(async () => (await detailOf(RUN)).phase, { timeout: 90_000 }).toBe("finished");
  await expect.poll(async () => (await detailOf(RUN)).newestCheckpoint?.version ?? -1).toBe(VERSIONS);
  await trained.goto("about:blank");
});
test.afterAll(async () => {
  await trained.context().close();
  await coordinator.stop();
});

test("the volunteer's page holds up idle, working, resting and stopped", async () => {
  const page = trained;
  await page.goto(`${coordinator.url}/?lend=1`);
  await admittedAtLeast(page, 3);
  for (const [width, theme] of MAIN) await holdsUp(page, "lend-working", width, theme);
  await page.getByRole("button", { name: "Pause" }).click();
  await stateBecomes(page, /^paused$/);
  for (const width of WIDTHS_PX) await holdsUp(page, "lend-paused", width);
  await page.getByRole("button", { name: "Stop for now" }).click();
  await stateBecomes(page, /^stopped$/);
  for (const width of WIDTHS_PX) await holdsUp(page, "lend-stopped", width);
  // The only volunteer there was: every sample of the run is its own.
  await expect(page.locator(".pairs div").filter({ hasText: "Of all in this run" })).toContainText("100.00 %");

  await page.goto(coordinator.url);
  await expect(page.getByText("Reads a handwritten digit").first()).toBeVisible();
  for (const [width, theme] of MAIN) await holdsUp(page, "lend-idle", width, theme);
  expect((await snapshotOf(page)).status.state).toBe("idle");
});

/** States that pass quickly, or that take a fault to come about; what leads to them is tested elsewhere. */
const RARE: readonly (readonly [name: string, status: VolunteerStatus, says: string])[] = [
  ["starting", { state: "starting", step: "self-test" }, "Threading your card into the loom."],
  ["offline", { state: "offline", retryAtMs: Date.now() + 600_000, leaseKeptUntilMs: Date.now() + 600_000 }, "The line is down."],
  ["recovering", { state: "recovering", detail: "A device was lost.", retryAtMs: null }, "does not answer any more."],
  ["refused", { state: "refused", code: "protocol-version", message: "This page is old." }, "The coordinator said no."],
  ["unfit", { state: "unfit", reason: "wrong-values", detail: "All gradients are zero." }, "This device did not pass the self-test."],
  ["lost", { state: "unfit", reason: "lost", detail: "A device was lost." }, "This device does not answer any more."],
  ["elsewhere", { state: "elsewhere" }, "You are already weaving, in another tab."],
];
test("the volunteer's page holds up in the states that are rarely seen", async ({ page }) => {
  const paper = await lendOnPaper(page);
  await page.goto(`${coordinator.url}/?run=austen&lend=1`);
  await expect(page.getByRole("heading", { name: "Threading your card into the loom." })).toBeVisible();
  const idle = await snapshotOf(page);
  for (const [name, status, says] of RARE) {
    await paper.show({ ...idle, status, steps: 12, samples: 192, admitted: 1, startedAtMs: Date.now() - 60_000, losses: [2.3] });
    await expect(page.getByText(says).first()).toBeVisible();
    for (const width of WIDTHS_PX) await holdsUp(page, `lend-${name}`, width);
  }
});

test("the list of runs holds up, finds by name and leads to each run by keyboard", async ({ page }) => {
  await page.goto(`${coordinator.url}/runs`);
  await expect(page.getByRole("link", { name: "small digits", exact: true })).toBeVisible();
  for (const [width, theme] of MAIN) await holdsUp(page, "runs", width, theme);
  await page.reload();
  await expect(page.getByRole("link", { name: "small digits", exact: true })).toBeVisible();
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "To the content" })).toBeFocused();
  await tabTo(page, page.getByRole("searchbox"));
  await page.keyboard.type("austen");
  await expect(page.getByRole("link", { name: "small digits", exact: true })).toHaveCount(0);
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type("small");
  await pressByKeyboard(page, page.getByRole("link", { name: "small digits", exact: true }));
  await expect(page.getByRole("heading", { name: "small digits", level: 1 })).toBeVisible();
});

test("a run's page holds up; a digit is drawn by keyboard and read, and each checkpoint downloads", async ({ page }) => {
  await page.goto(`${coordinator.url}/runs/${RUN}`);
  await expect(page.getByRole("heading", { name: "small digits", level: 1 })).toBeVisible();
  const field = page.getByRole("img", { name: /^Drawing field/ });
  await tabTo(page, field);
  // A one: a stroke downwards in the middle of eight squares by eight.
  // The first arrow shows the square in the middle.
  for (let up = 0; up < 4; up++) await page.keyboard.press("ArrowUp");
  for (let square = 0; square < 6; square++) {
    await page.keyboard.press(" ");
    await page.keyboard.press("ArrowDown");
  }
  await expect(page.getByText(/^Read as \d/)).toBeVisible({ timeout: 60_000 });
  await pressByKeyboard(page, page.getByRole("button", { name: "A held-out one" }));
  await expect(page.getByText(/That is right\.|It is a \d\./)).toBeVisible();
  for (const [width, theme] of MAIN) await holdsUp(page, "run-tried", width, theme);

  const link = page.getByRole("link", { name: `Download v${VERSIONS}`, exact: true });
  const downloading = page.waitForEvent("download");
  await pressByKeyboard(page, link);
  expect((await downloading).suggestedFilename()).toMatch(new RegExp(`^${RUN}-v0*${VERSIONS}\\.zip$`));
  for (const { version } of (await detailOf(RUN)).checkpoints) {
    const archive = await coordinator.bytes(`/api/runs/${RUN}/checkpoints/${version}`);
    expect([archive[0], archive[1]]).toEqual([0x50, 0x4b]);
  }
});

test("a beginning is continued letter by letter, by keyboard", async ({ page }) => {
  await page.goto(`${coordinator.url}/runs/austen`);
  const beginning = page.getByLabel("Beginning");
  await tabTo(page, beginning);
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type("She had");
  await tabTo(page, page.getByLabel(/^Daring/));
  await page.keyboard.press("ArrowRight");
  await expect(page.getByText("Daring 0.9")).toBeVisible();
  await pressByKeyboard(page, page.getByRole("button", { name: "Continue" }));
  await expect(page.locator(".out")).toHaveText(/^She had[\s\S]{20,}$/, { timeout: 60_000 });
  await expect(page.getByText(/characters a second/)).toBeVisible({ timeout: 60_000 });
  for (const width of WIDTHS_PX) await holdsUp(page, "run-written", width);
});

test("the admin's doors and desk hold up, and the desk is worked by keyboard", async ({ page }) => {
  await page.goto(`${coordinator.url}/admin`);
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  for (const width of WIDTHS_PX) await holdsUp(page, "admin-nobody-yet", width);
  // The link pasted into the open page changes its fragment only, and signs in all the same.
  await page.goto(coordinator.adminUrl);
  await expect(page.getByRole("heading", { name: "Make it yours" })).toBeVisible();
  for (const width of WIDTHS_PX) await holdsUp(page, "admin-password", width);
  for (const [label, text] of [
    ["Name", "Ada"],
    ["E-mail", "ada@weft.test"],
    ["Password", "a loom of one's own"],
  ] as const) {
    await tabTo(page, page.getByLabel(label));
    await page.keyboard.type(text);
  }
  await page.keyboard.press("Enter");
  await expect(page.getByText("Signed in as Ada.")).toBeVisible();

  await pressByKeyboard(page, page.getByRole("navigation", { name: "Runs" }).getByRole("link", { name: /small digits/ }));
  await expect(page.getByRole("heading", { name: "small digits", level: 1 })).toBeVisible();
  await expect(page.getByRole("heading", { name: "Volunteers" })).toBeVisible();
  for (const [width, theme] of MAIN) await holdsUp(page, "admin-desk", width, theme);

  await pressByKeyboard(page, page.getByRole("button", { name: "New" }));
  await expect(page.getByRole("dialog")).toBeVisible();
  for (const width of WIDTHS_PX) await holdsUp(page, "admin-new-run", width);
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect(page.getByRole("button", { name: "New" })).toBeFocused();

  await pressByKeyboard(page, page.getByRole("button", { name: "Sign out" }));
  await expect(page.getByLabel("Password")).toBeVisible();
  for (const width of WIDTHS_PX) await holdsUp(page, "admin-sign-in", width);
});

test("an address that leads nowhere says so and leads on", async ({ page }) => {
  await page.goto(`${coordinator.url}/runs/no-such-run`);
  await expect(page.getByRole("heading", { name: "No such cloth." })).toBeVisible();
  for (const width of WIDTHS_PX) await holdsUp(page, "no-such-run", width);
  await page.getByRole("link", { name: "See the runs there are" }).click();
  await expect(page.getByRole("heading", { name: "Runs", level: 1 })).toBeVisible();
});
