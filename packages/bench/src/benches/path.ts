// Bench `path`: what a volunteer waits for in a software-rendered headless Chromium, from the press of the button to the first accepted
// contribution; what the page loads before it; steps a minute of each demonstration run; how fast the page answers while it trains.
import { gzipSync } from "node:zlib";
import type { RunDetail } from "@weft/protocol";
import type { VolunteerSnapshot } from "@weft/volunteer";
import { type Browser, chromium, type Page } from "playwright";
import type { Bench, BenchContext, Row } from "../bench.ts";
import { type Served, serve } from "../support/coordinator-process.ts";

const FLAGS = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--no-sandbox",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];
const FIRST_LIMIT_MS = 120_000;

const snapshotOf = (page: Page): Promise<VolunteerSnapshot> =>
  page.evaluate(() => (globalThis as unknown as { weft: { snapshot(): VolunteerSnapshot } }).weft.snapshot());

async function until(page: Page, met: (snapshot: VolunteerSnapshot) => boolean): Promise<VolunteerSnapshot> {
  const limitMs = Date.now() + FIRST_LIMIT_MS;
  for (;;) {
    const snapshot = await snapshotOf(page);
    if (met(snapshot)) return snapshot;
    if (Date.now() > limitMs) throw new Error(`still ${JSON.stringify(snapshot.status)} after ${FIRST_LIMIT_MS} ms`);
    await page.waitForTimeout(50);
  }
}

/** gzip bytes of every script that `/` loads before the button is pressed, workers included. */
async function scriptBytes(browser: Browser, url: string): Promise<number> {
  const page = await browser.newPage();
  const bodies: Promise<Buffer>[] = [];
  page.on("response", (response) => {
    if (/javascript/.test(response.headers()["content-type"] ?? "")) bodies.push(response.body());
  });
  await page.goto(url, { waitUntil: "networkidle" });
  await page.getByRole("button", { name: "Lend my graphics card" }).waitFor();
  const total = (await Promise.all(bodies)).reduce((sum, body) => sum + gzipSync(body).length, 0);
  await page.close();
  return total;
}

/** Longest time from a key press to the next painted frame, over presses spread across the training. */
async function worstInputMs(page: Page, presses: number): Promise<number> {
  await page.evaluate(() => {
    const state = globalThis as unknown as { worstInputMs: number };
    state.worstInputMs = 0;
    addEventListener(
      "keydown",
      (event) =>
        requestAnimationFrame(() =>
          requestAnimationFrame(() => (state.worstInputMs = Math.max(state.worstInputMs, performance.now() - event.timeStamp))),
        ),
      { capture: true },
    );
  });
  await page.getByLabel("Effort").focus();
  for (let press = 0; press < presses; press++) {
    await page.keyboard.press(press % 2 === 0 ? "ArrowLeft" : "ArrowRight");
    await page.waitForTimeout(150);
  }
  return page.evaluate(() => (globalThis as unknown as { worstInputMs: number }).worstInputMs);
}

async function stepsPerMinute(page: Page, seconds: number): Promise<number> {
  const before = await snapshotOf(page);
  const startedAtMs = Date.now();
  await page.waitForTimeout(seconds * 1000);
  const after = await snapshotOf(page);
  return ((after.steps - before.steps) * 60_000) / (Date.now() - startedAtMs);
}

interface Visit {
  readonly milestones: VolunteerSnapshot["milestones"];
  readonly stepsPerMinute: number;
  readonly worstInputMs: number;
}

async function visit(browser: Browser, coordinator: Served, run: string, seconds: number): Promise<Visit> {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${coordinator.url}/?run=${run}`);
  await page.getByRole("button", { name: "Lend my graphics card" }).click();
  const { milestones } = await until(page, ({ admitted }) => admitted > 0);
  const result = { milestones, stepsPerMinute: await stepsPerMinute(page, seconds), worstInputMs: await worstInputMs(page, 20) };
  await context.close();
  return result;
}

async function measure(browser: Browser, coordinator: Served, { short, say }: BenchContext): Promise<readonly Row[]> {
  const seconds = short ? 10 : 40;
  const scripts = await scriptBytes(browser, coordinator.url);
  const rows: Row[] = [
    {
      figure: "scripts before the button",
      value: scripts / 1024,
      unit: "KB gzip",
      goal: { at: "most", value: 250 },
      anchor: "goal of the issue",
    },
  ];
  for (const { run } of await coordinator.json<readonly RunDetail[]>("/api/runs")) {
    say(`${run}: one software-rendered tab for ${seconds} s ...`);
    const { milestones, stepsPerMinute: pace, worstInputMs: input } = await visit(browser, coordinator, run, seconds);
    const since = (figure: string, value: number | undefined, goal: number | null): Row => ({
      figure: `${run}: ${figure}`,
      value: value ?? null,
      unit: "ms after the press",
      goal: goal === null ? null : { at: "most", value: goal },
      anchor: goal === null ? "" : "goal of the issue",
    });
    rows.push(
      since("self-test passed", milestones.selfTestMs, null),
      since("connected", milestones.connectedMs, null),
      since("first lease", milestones.firstLeaseMs, null),
      since("first contribution accepted", milestones.firstAdmittedMs, 8000),
      { figure: `${run}: steps a minute`, value: pace, unit: "1/min", goal: null, anchor: "software adapter; a ratio, not a speed" },
      {
        figure: `${run}: longest answer to input while training`,
        value: input,
        unit: "ms",
        goal: { at: "most", value: 100 },
        anchor: "goal of the issue",
      },
    );
  }
  return rows;
}

export const pathBench: Bench = {
  name: "path",
  about: "from the press of the button to the first accepted contribution, in a software-rendered headless Chromium",
  async run(context) {
    const coordinator = await serve();
    const executablePath = process.env.WEFT_CHROMIUM;
    const browser = await chromium.launch({ args: FLAGS, ...(executablePath === undefined ? {} : { executablePath }) });
    try {
      return await measure(browser, coordinator, context);
    } finally {
      await browser.close();
      await coordinator.stop();
    }
  },
};
