// A tab that goes away says goodbye, however it goes: its lease is ended at once and is there for whoever comes. Read from the ledger's
// events: who falls silent instead is `silent` there, after the grace of a lost connection.
import { expect, type Page, test } from "@playwright/test";
import type { LedgerEvent, RunSpec } from "@weft/protocol";
import { command, ledgerOf } from "./support/admin.ts";
import { CoordinatorProcess } from "./support/coordinator.ts";
import { admittedAtLeast, snapshotOf, stateBecomes } from "./support/pages.ts";
import { slowDigits } from "./support/specifications.ts";

let coordinator: CoordinatorProcess;

test.describe.configure({ timeout: 90_000 });
test.beforeAll(async () => {
  coordinator = await CoordinatorProcess.start();
});
test.afterAll(async () => {
  await coordinator.stop();
});

const eventsOf = async (run: string): Promise<readonly LedgerEvent[]> => (await ledgerOf(coordinator, run)).map(({ event }) => event);
const departures = (events: readonly LedgerEvent[], volunteer: string) =>
  events.filter((event) => event.type === "volunteer-left" && event.volunteer === volunteer);

/** Lends to a run of its own and waits for the first half of a lease that is not the first. */
async function inMidLease(page: Page, name: string): Promise<{ readonly run: string; readonly volunteer: string; readonly lease: string }> {
  const spec = slowDigits(name, 5_000);
  // One lease a version, of hundreds of steps: it is not over by the time a busy machine has closed the tab.
  const long: RunSpec = {
    ...spec,
    training: { ...spec.training, microBatch: 2 },
    round: { ...spec.round, leaseMs: 30_000, deadlineMs: 60_000 },
  };
  const reply = await command(coordinator, { type: "create-run", spec: long });
  const run = reply?.run ?? "";
  await page.goto(`${coordinator.url}/?run=${run}`);
  await page.getByRole("button", { name: "Lend my graphics card" }).click();
  let found = { run, volunteer: "", lease: "" };
  await expect
    .poll(
      async () => {
        const { lease, volunteer, admitted } = await snapshotOf(page);
        if (admitted === 0 || lease?.phase !== "computing" || lease.step < 1 || lease.step >= lease.steps / 2) return "elsewhere";
        found = { run, volunteer: volunteer ?? "", lease: lease.lease };
        return "in the middle";
      },
      { timeout: 60_000, intervals: [20] },
    )
    .toBe("in the middle");
  return found;
}

/** The volunteer has left once, with a goodbye, and no lease of its own is open any more. */
async function hasSaidGoodbye(run: string, volunteer: string): Promise<void> {
  await expect.poll(async () => departures(await eventsOf(run), volunteer).length, { intervals: [20] }).toBeGreaterThan(0);
  const events = await eventsOf(run);
  expect(departures(events, volunteer)).toMatchObject([{ reason: "goodbye" }]);
  const own = events.flatMap((event) => ("volunteer" in event && event.volunteer === volunteer ? [event] : []));
  const given = own.filter(({ type }) => type === "lease-assigned").length;
  const answered = events.filter((event) => event.type === "contribution-admitted" && event.header.volunteer === volunteer).length;
  const ended = own.filter(({ type }) => type === "assignment-ended");
  expect(ended.length).toBeGreaterThan(0);
  for (const end of ended) expect(end).toMatchObject({ reason: expect.stringMatching(/^(left|released)$/) });
  expect(given).toBe(answered + ended.length);
}

const WAYS: readonly (readonly [how: string, leave: (page: Page) => Promise<unknown>])[] = [
  ["is closed", (page) => page.close()],
  ["goes with its window", (page) => page.context().close()],
  ["goes to another address", (page) => page.goto("about:blank")],
  ["is loaded anew", (page) => page.reload()],
];
for (const [how, leave] of WAYS)
  test(`a tab that ${how} in the middle of a lease says goodbye, and its lease is free at once`, async ({ browser }) => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const { run, volunteer } = await inMidLease(page, `a tab ${how}`);
    await leave(page);
    await hasSaidGoodbye(run, volunteer);
    await context.close();
  });

/** What the browser tells a page that it puts away, and one that it takes out again. */
const RESTS: readonly (readonly [name: string, away: () => void, back: () => void])[] = [
  [
    "kept for coming back",
    () => dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true })),
    () => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })),
  ],
  ["frozen", () => document.dispatchEvent(new Event("freeze")), () => document.dispatchEvent(new Event("resume"))],
];
for (const [how, away, back] of RESTS)
  test(`a page that is ${how} gives its lease back, and goes on when it is shown again`, async ({ page }) => {
    const { run, volunteer } = await inMidLease(page, how);
    await page.evaluate(away);
    await hasSaidGoodbye(run, volunteer);
    await stateBecomes(page, /^paused$/);
    expect((await snapshotOf(page)).status).toMatchObject({ reason: "frozen" });
    await page.evaluate(back);
    const { admitted } = await snapshotOf(page);
    await admittedAtLeast(page, admitted + 1);
    const joined = (await eventsOf(run)).filter((event) => event.type === "volunteer-joined" && event.volunteer === volunteer);
    expect(joined).toHaveLength(2);
  });
