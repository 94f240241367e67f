// Going back and going on from the desk: a run is rolled back, forked and resumed by clicking, the ledgers say so, the pages show it, and
// volunteers train on. A storage that fails is shown as what it is.
import { expect, type Page, test } from "@playwright/test";
import type { EventOf, LedgerEvent, RunDetail, RunSpec } from "@weft/protocol";
import { command, ledgerOf } from "./support/admin.ts";
import { CoordinatorProcess } from "./support/coordinator.ts";
import { admittedAtLeast, holdsUp, snapshotOf, WIDTHS_PX } from "./support/pages.ts";
import { slowDigits } from "./support/specifications.ts";

const VERSIONS = 24;
const RUN = "there-and-back";
const BACK_TO = 3;
const FORK_FROM = 6;
let coordinator: CoordinatorProcess;
/** The admin's page, and a tab that lends, through the whole file: the tests are the steps of one visit, in order. */
let desk: Page;
let tab: Page;

const spec = (): RunSpec => {
  const slow = slowDigits("there and back", VERSIONS);
  return {
    ...slow,
    training: { ...slow.training, samplesPerVersion: 256, microBatch: 64 },
    evaluation: { everyVersions: 1, samples: 360 },
    checkpoints: { everyVersions: 3 },
    retention: { contributions: "all" },
  };
};
const detailOf = (run: string): Promise<RunDetail> => coordinator.json<RunDetail>(`/api/runs/${run}`);
const eventsOf = async (run: string): Promise<readonly LedgerEvent[]> => (await ledgerOf(coordinator, run)).map(({ event }) => event);
const createdOf = async (run: string): Promise<EventOf<"run-created">> => {
  const [first] = await eventsOf(run);
  if (first?.type !== "run-created") throw new Error(`the ledger of ${run} does not begin with its creation`);
  return first;
};
const button = (name: string | RegExp) => desk.getByRole("button", { name });
const dialog = () => desk.getByRole("dialog");
const choose = (version: number) => desk.getByRole("radio", { name: `v${version}`, exact: true }).check();
const rowOf = (version: number) =>
  desk.locator(".vers tbody tr").filter({ has: desk.getByRole("radio", { name: `v${version}`, exact: true }) });
/** Also one that is too old to be among those that are listed by themselves. */
const chooseByNumber = async (version: number): Promise<void> => {
  await desk.getByLabel("Number of the version").fill(String(version));
  await expect(rowOf(version).getByRole("radio")).toBeChecked();
};
const lendTo = async (run: string): Promise<void> => {
  await tab.goto(`${coordinator.url}/?run=${run}&lend=1`);
  await admittedAtLeast(tab, 1);
};

test.describe.configure({ mode: "serial", timeout: 180_000 });
test.beforeAll(async ({ browser }) => {
  coordinator = await CoordinatorProcess.start();
  await command(coordinator, { type: "create-run", spec: spec() });
  desk = await (await browser.newContext()).newPage();
  await desk.goto(coordinator.adminUrl);
  await desk.getByLabel("Name").fill("Ada");
  await desk.getByLabel("E-mail").fill("ada@weft.test");
  await desk.getByLabel("Password").fill("a loom of one's own");
  await button("Keep and go to the desk").click();
  await expect(desk.getByText("Signed in as Ada.")).toBeVisible();
  tab = await (await browser.newContext()).newPage();
});
test.afterAll(async () => {
  await desk.context().close();
  await tab.context().close();
  await coordinator.stop();
});

test("a run is rolled back to a version that is chosen from the list, and goes on from its weights", async () => {
  await lendTo(RUN);
  await desk.goto(`${coordinator.url}/admin?run=${RUN}`);
  await expect.poll(async () => (await detailOf(RUN)).checkpoints.length, { timeout: 60_000 }).toBeGreaterThanOrEqual(2);
  // Nobody works on it any more, and the last round that was whole is closed.
  await tab.goto("about:blank");
  await expect
    .poll(async () => {
      const { volunteersNow, round } = await detailOf(RUN);
      return volunteersNow === 0 && round.samplesIn < round.samplesWanted;
    })
    .toBe(true);
  await button("Pause").click();
  await expect.poll(async () => (await detailOf(RUN)).phase).toBe("paused");
  const before = await detailOf(RUN);
  expect(before.version).toBeGreaterThanOrEqual(6);

  await choose(BACK_TO);
  await button(`Roll back to v${BACK_TO}…`).click();
  await expect(dialog()).toContainText(
    `Version ${before.version + 1} of there and back gets the weights and the optimiser state of version ${BACK_TO}`,
  );
  await expect(dialog()).toContainText("marked as undone, and nothing is deleted");
  for (const width of WIDTHS_PX) await holdsUp(desk, "desk-roll-back", width);
  await button(`Keep version ${before.version}`).click();
  expect((await detailOf(RUN)).version).toBe(before.version);

  await button(`Roll back to v${BACK_TO}…`).click();
  await dialog()
    .getByRole("button", { name: `Roll back to v${BACK_TO}` })
    .click();
  await expect(dialog()).toHaveCount(0);
  await expect(desk.getByText(`Rolled back to v${BACK_TO} by Ada`)).toBeVisible();
  const events = await eventsOf(RUN);
  const made = events.flatMap((event) => (event.type === "version-published" && event.version === BACK_TO ? [event] : []))[0];
  expect(events.find(({ type }) => type === "run-rolled-back")).toMatchObject({
    version: before.version + 1,
    to: BACK_TO,
    by: "Ada",
    weights: made?.weights,
    optimizer: made?.optimizer,
    steps: BACK_TO,
  });
  await expect(rowOf(before.version + 1)).toContainText(`back to v${BACK_TO}`);
  await expect(rowOf(6)).toContainText("undone");
  await expect(rowOf(BACK_TO)).not.toContainText("undone");

  await button("Resume").first().click();
  await lendTo(RUN);
  await expect.poll(async () => (await detailOf(RUN)).version, { timeout: 60_000 }).toBeGreaterThan(before.version + 4);
  const after = await detailOf(RUN);
  expect(after.steps).toBe(after.version - (before.version + 1) + BACK_TO);
  expect(after.versionPoints.filter(({ undone }) => undone).map(({ version }) => version)).toEqual(
    Array.from({ length: before.version - BACK_TO }, (_, index) => BACK_TO + 1 + index),
  );
  await expect.poll(async () => (await detailOf(RUN)).phase, { timeout: 90_000 }).toBe("finished");
  expect((await detailOf(RUN)).steps).toBe(VERSIONS);
});

test("a fork begins with its parent's specification and weights, and names its parent", async () => {
  const parent = (await eventsOf(RUN)).flatMap((event) =>
    event.type === "version-published" && event.version === FORK_FROM ? [event] : [],
  )[0];
  await chooseByNumber(FORK_FROM);
  await button(`Fork from v${FORK_FROM}…`).click();
  const text = dialog().getByLabel("Specification");
  const given = JSON.parse(await text.inputValue()) as RunSpec;
  expect(given).toEqual({ ...spec(), name: "there and back fork" });
  for (const width of WIDTHS_PX) await holdsUp(desk, "desk-fork", width);

  // Another shape than the weights have is refused by the coordinator, in its words.
  await text.fill(JSON.stringify({ ...given, model: { kind: "mlp", inputs: 64, hidden: [16], classes: 10 } }));
  await button("Fork and start").click();
  await expect(dialog()).toContainText(/model does not fit the weights/);
  const changed = {
    ...given,
    name: "a bolder fork",
    training: { ...given.training, versions: 12, optimizer: { kind: "sgd", learningRate: 0.1, momentum: 0.9, weightDecay: 0 } },
  };
  await text.fill(JSON.stringify(changed, null, 2));
  await button("Fork and start").click();
  await expect(dialog()).toHaveCount(0);
  await expect(desk.getByRole("heading", { name: "a bolder fork", level: 1 })).toBeVisible();
  await expect(desk.locator(".origin")).toHaveText(`Forked from v${FORK_FROM} of ${RUN}`);
  const created = await createdOf("a-bolder-fork");
  expect(created.weights).toEqual(parent?.weights);
  expect(created.origin).toMatchObject({ change: "fork", run: RUN, version: FORK_FROM, optimizer: null });
  expect(created.spec).toEqual(changed);

  await lendTo("a-bolder-fork");
  await expect.poll(async () => (await detailOf("a-bolder-fork")).version, { timeout: 60_000 }).toBeGreaterThan(FORK_FROM);
});

test("a resumed run takes everything over but the name", async () => {
  await desk
    .getByRole("navigation", { name: "Runs" })
    .getByRole("link", { name: /there and back/ })
    .click();
  await expect(desk.getByRole("heading", { name: "there and back", level: 1 })).toBeVisible();
  await chooseByNumber(BACK_TO);
  await button(`Resume from v${BACK_TO}…`).click();
  await expect(dialog()).toContainText("bit for bit");
  await dialog().getByLabel("Name of the new run").fill("there again");
  for (const width of WIDTHS_PX) await holdsUp(desk, "desk-resume", width);
  await dialog()
    .getByRole("button", { name: `Resume from v${BACK_TO}` })
    .click();
  await expect(desk.getByRole("heading", { name: "there again", level: 1 })).toBeVisible();
  const made = (await eventsOf(RUN)).flatMap((event) =>
    event.type === "version-published" && event.version === BACK_TO ? [event] : [],
  )[0];
  const created = await createdOf("there-again");
  expect(created.spec).toEqual({ ...spec(), name: "there again" });
  expect(created.weights).toEqual(made?.weights);
  expect(created.origin).toMatchObject({ change: "resume", run: RUN, version: BACK_TO, steps: BACK_TO, optimizer: made?.optimizer });
  await lendTo("there-again");
  await expect.poll(async () => (await detailOf("there-again")).version, { timeout: 60_000 }).toBeGreaterThan(BACK_TO);
});

test("the pages show what was undone, where a run comes from, what is kept, and how to check it", async () => {
  await tab.goto("about:blank");
  await desk.goto(`${coordinator.url}/admin?run=${RUN}`);
  await expect(desk.getByText("What it is")).toBeVisible();
  for (const [width, theme] of [
    [390, "light"],
    [1280, "light"],
    [1280, "dark"],
  ] as const)
    await holdsUp(desk, "desk-undone", width, theme);

  await desk.goto(`${coordinator.url}/runs/${RUN}`);
  await expect(desk.getByText(new RegExp(`^Rolled back to v${BACK_TO} .* are undone$`))).toBeVisible();
  await expect(desk.locator(".cps tr.undone")).not.toHaveCount(0);
  await expect(desk.locator(".pairs div").filter({ hasText: "Contributions kept" })).toContainText("all, for good");
  await expect(desk.getByText(`npx weft replay ${RUN} --url ${coordinator.url}`)).toBeVisible();
  for (const [width, theme] of [
    [390, "light"],
    [1280, "light"],
    [1280, "dark"],
  ] as const)
    await holdsUp(desk, "run-undone", width, theme);

  await desk.goto(`${coordinator.url}/runs/a-bolder-fork`);
  await expect(desk.getByText(`Forked from v${FORK_FROM} of`)).toBeVisible();
  await expect(desk.getByText(`computes the weights again, version by version, from v${FORK_FROM} of ${RUN}`)).toBeVisible();
  for (const width of WIDTHS_PX) await holdsUp(desk, "run-forked", width);
  await desk.locator(".run-top").getByRole("link", { name: RUN }).click();
  await expect(desk.getByRole("heading", { name: "there and back", level: 1 })).toBeVisible();
  expect((await snapshotOf(desk)).status.state).toBe("idle");
});

const TROUBLES = [
  ["disk-full", "The coordinator’s disk is full."],
  ["unavailable", "The coordinator cannot write to its disk."],
  ["damaged", "What is stored of this run is damaged."],
  ["closing", "The round cannot be closed."],
] as const;
for (const [kind, title] of TROUBLES)
  test(`the desk says what is wrong when a run stands for ${kind}`, async ({ browser }) => {
    // The coordinator's own view, changed on its way: what makes it say so is tested beside its storage.
    const context = await browser.newContext({ storageState: await desk.context().storageState() });
    const page = await context.newPage();
    await page.routeWebSocket(/socket\.io/, (line) => {
      const server = line.connectToServer();
      server.onMessage((message) =>
        line.send(
          typeof message === "string"
            ? message.replaceAll('"trouble":null', `"trouble":{"kind":"${kind}","message":"As the disk says."}`)
            : message,
        ),
      );
    });
    await page.goto(`${coordinator.url}/admin?run=there-again`);
    await expect(page.getByRole("alert")).toContainText(title);
    await expect(page.getByRole("alert")).toContainText("As the disk says.");
    for (const width of WIDTHS_PX) await holdsUp(page, `desk-trouble-${kind}`, width);
    await context.close();
  });
