// The rows of bench `step` on lost devices: an engine steps without a pause, the browser's GPU process is crashed under it, twice.
import type { Page } from "playwright";
import type { Row } from "../bench.ts";
import type { begin, end, LossStep, soFar } from "../step/loss.ts";
import { openBenchPage } from "../support/bench-page.ts";

type InPage = typeof globalThis & {
  readonly weftLoss: { readonly begin: typeof begin; readonly soFar: typeof soFar; readonly end: typeof end };
};

const LIMIT_MS = 90_000;

const stepsOf = (page: Page): Promise<readonly LossStep[]> => page.evaluate(() => (globalThis as InPage).weftLoss.soFar());

async function until(page: Page, met: (steps: readonly LossStep[]) => boolean): Promise<readonly LossStep[]> {
  const limitMs = Date.now() + LIMIT_MS;
  for (;;) {
    const steps = await stepsOf(page);
    if (met(steps)) return steps;
    if (Date.now() > limitMs) throw new Error(`no more steps after ${steps.length}`);
    await page.waitForTimeout(50);
  }
}

export interface Crash {
  /** From the crash to the end of the step that it hit or, between two, of the next. */
  readonly ms: number;
  readonly backend: string;
  /** From the crash to the end of the first step that a GPU computed again; null: none did. */
  readonly againMs: number | null;
}

/** Steps before, between and after two crashes of the GPU process, and what each crash cost. The second comes when a GPU computes again:
 *  a browser gives a page no third. */
export async function crashTwice(hardware: boolean): Promise<{ readonly crashes: readonly Crash[]; readonly steps: readonly LossStep[] }> {
  const { page, browser, close } = await openBenchPage({ script: new URL("../step/loss.ts", import.meta.url), frames: [], hardware });
  try {
    await page.evaluate(() => (globalThis as InPage).weftLoss.begin());
    const session = await browser.newBrowserCDPSession();
    const crashes: Crash[] = [];
    for (let crash = 0; crash < 2; crash++) {
      const { length } = await stepsOf(page);
      await until(page, (steps) => steps.length >= length + 3);
      const atMs = await page.evaluate(() => performance.now());
      // The answer to this command dies with the process that it kills.
      void session.send("Browser.crashGpuProcess").catch(() => undefined);
      // Steps are short: the crash shows in one that took longer than all before it, or on another backend.
      const before = await stepsOf(page);
      const usual = Math.max(...before.slice(1).map(({ beganMs, endedMs }) => endedMs - beganMs));
      const hit = ({ beganMs, endedMs, backend }: LossStep): boolean =>
        endedMs > atMs && (endedMs - beganMs > 1.5 * usual || backend !== before.at(-1)?.backend);
      const steps = await until(page, (all) => all.some(hit));
      const { endedMs, backend } = steps.find(hit) as LossStep;
      const onGpu = (step: LossStep): boolean => step.endedMs >= endedMs && step.backend === "webgpu";
      const again = crash === 0 ? (await until(page, (all) => all.some(onGpu))).find(onGpu) : undefined;
      crashes.push({ ms: endedMs - atMs, backend, againMs: again === undefined ? null : again.endedMs - atMs });
    }
    const { length } = await stepsOf(page);
    const steps = await until(page, (all) => all.length >= length + 3);
    await page.evaluate(() => (globalThis as InPage).weftLoss.end());
    return { crashes, steps };
  } finally {
    await close();
  }
}

export async function lossRows(hardware: boolean): Promise<readonly Row[]> {
  const { crashes, steps } = await crashTwice(hardware);
  const [first, second] = crashes as [Crash, Crash];
  const row = (figure: string, { ms, backend }: Crash, most: number): Row => ({
    figure: `mlp: ${figure}`,
    value: ms,
    unit: "ms",
    goal: { at: "most", value: most },
    anchor: "goal of the issue",
    note: `on ${backend}`,
  });
  return [
    row("a step after the first crash of the GPU process", first, 1000),
    {
      figure: "mlp: a step on a GPU again after the first crash",
      value: first.againMs,
      unit: "ms",
      goal: null,
      anchor: "shaders are compiled meanwhile",
    },
    row("a step after the second", second, 5000),
    {
      figure: "mlp: largest difference of a gradient from the first",
      value: 1e6 * Math.max(...steps.map(({ relativeError }) => relativeError)),
      unit: "millionths of its norm",
      goal: { at: "most", value: 10 },
      anchor: "the same batch and weights each time",
    },
  ];
}
