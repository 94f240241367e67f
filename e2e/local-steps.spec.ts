// Two tabs, each a volunteer of its own, train a language model by local steps that are handed in as ternary updates whenever one is ready; one
// tab has a home's line. What they made is measured at the coordinator and recomputed by a stranger.
import { type Browser, expect, type Page, test } from "@playwright/test";
import type { DatasetManifest, EventOf, LedgerEvent, RunDetail, RunSummary } from "@weft/protocol";
import { type ShapedLine, shapedLine } from "@weft/testkit/shaped-line";
import { command, ledgerOf } from "./support/admin.ts";
import { CoordinatorProcess, temporaryFolder } from "./support/coordinator.ts";
import { snapshotOf, stateBecomes } from "./support/pages.ts";
import { asynchronousNovels } from "./support/specifications.ts";
import { weft } from "./support/weft.ts";

const VERSIONS = 8;
const HOME_LINE = { upBitsPerSecond: 10e6, downBitsPerSecond: 50e6, roundTripMs: 50 };
let coordinator: CoordinatorProcess;
let line: ShapedLine;

test.beforeAll(async () => {
  coordinator = await CoordinatorProcess.start();
  line = await shapedLine(coordinator.port, HOME_LINE);
});
test.afterAll(async () => {
  await line.close();
  await coordinator.stop();
});

/** A page of its own browser profile, with an identity of its own, that has found its graphics card and says that it lends. */
async function lend(browser: Browser, url: string, run: string): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${url}/?run=${run}`);
  await page.getByRole("button", { name: "Lend my graphics card" }).click();
  await stateBecomes(page, /^waiting$/, 120_000);
  expect((await snapshotOf(page)).device?.backend).toBe("webgpu");
  return page;
}

/** Most bytes that the codec has for so many values: five to a byte, two for the scale of each 256, one for the form. */
const ternaryBytes = (parameters: number): number => 1 + Math.ceil(parameters / 5) + 2 * Math.ceil(parameters / 256);

test("two tabs, one behind a home's line, train austen by local steps, ternary and asynchronously, and it can be recomputed", async ({
  browser,
}) => {
  test.setTimeout(300_000);
  const manifest = await coordinator.json<DatasetManifest>("/api/datasets/austen");
  if (manifest.form.kind !== "text") throw new Error("austen is a text");
  const spec = asynchronousNovels("two lines", VERSIONS, manifest.form.alphabet.length);
  const run = (await command(coordinator, { type: "create-run", spec }))?.run ?? "";
  const detail = (): Promise<RunDetail> => coordinator.json<RunDetail>(`/api/runs/${run}`);
  // Both begin at once: no run goes on before the one is there whose page comes slowly.
  for (const other of await coordinator.json<readonly RunSummary[]>("/api/runs"))
    await command(coordinator, { type: "pause-run", run: other.run });
  const near = await lend(browser, coordinator.url, run);
  const far = await lend(browser, `http://localhost:${line.port}`, run);
  const carriedBefore = line.carried();
  await command(coordinator, { type: "resume-run", run });
  await expect.poll(async () => (await detail()).phase, { timeout: 240_000 }).toBe("finished");
  await expect.poll(async () => (await detail()).evaluations.at(-1)?.version, { timeout: 30_000 }).toBe(VERSIONS);
  const { evaluations, weights, parameters } = await detail();
  expect(evaluations[0]?.version).toBe(0);
  // An untrained model knows nothing of 81 letters: ln 81 = 4.39 nats.
  expect(evaluations[0]?.lossMean).toBeGreaterThan(4);
  expect(evaluations.at(-1)?.lossMean).toBeLessThan((evaluations[0]?.lossMean ?? 0) - 0.5);

  const events = (await ledgerOf(coordinator, run)).map(({ event }) => event);
  const of = <T extends LedgerEvent["type"]>(type: T): readonly EventOf<T>[] =>
    events.filter((event): event is EventOf<T> => event.type === type);
  const published = of("version-published");
  expect(published.map(({ version }) => version)).toEqual(Array.from({ length: VERSIONS }, (_, index) => index + 1));
  const headers = of("contribution-admitted").map(({ header }) => header);
  const mostBytes = ternaryBytes(parameters);
  for (const header of headers) {
    expect(header.codec).toBe("ternary");
    // The entropy coder may say it in fewer, by no more than half: it has about 1.2 bits for each of 1.66.
    expect(header.sizeBytes).toBeLessThanOrEqual(mostBytes);
    expect(header.sizeBytes).toBeGreaterThan(mostBytes / 2);
  }
  for (const page of [near, far]) {
    const { volunteer, admitted, refused } = await snapshotOf(page);
    const counted = published.flatMap(({ contributions }) => contributions.filter((contribution) => contribution.volunteer === volunteer));
    expect(counted.length).toBeGreaterThan(0);
    for (const { weight } of counted) expect(weight).not.toBe("00000000");
    expect(refused).toBe(0);
    expect(admitted).toBeGreaterThanOrEqual(counted.length);
  }
  // What the one at the far end of the line handed in went up that line, and the weights of each version that it began on came down.
  const farKey = (await snapshotOf(far)).volunteer;
  const carried = line.carried();
  const sent = headers.filter(({ volunteer }) => volunteer === farKey);
  expect(carried.upBytes - carriedBefore.upBytes).toBeGreaterThan(sent.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
  const bases = new Set(sent.map(({ base }) => base));
  expect(carried.downBytes - carriedBefore.downBytes).toBeGreaterThan(bases.size * 4 * parameters);

  const elsewhere = await temporaryFolder();
  const verified = await weft(elsewhere, "verify", run, "--url", coordinator.url);
  expect(verified.code, verified.out).toBe(0);
  expect(verified.out).toContain(`Versions 1 to ${VERSIONS} can be recomputed from version 0.`);
  const replayed = await weft(elsewhere, "replay", run, "--url", coordinator.url, "--json");
  expect(replayed.code, replayed.out).toBe(0);
  const [found] = (JSON.parse(replayed.out) as { runs: { same: number; versions: { published: string }[] }[] }).runs;
  expect(found?.same).toBe(VERSIONS + 1);
  expect(found?.versions.slice(1).map((version) => version.published)).toEqual(published.map((version) => version.weights.sha256));
  expect(found?.versions.at(-1)?.published).toBe(weights.sha256);
});
