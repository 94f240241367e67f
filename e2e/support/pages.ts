// What the tests of pages share: the volunteer's snapshot, walking by keyboard, pictures, and what every page must keep to.
import { AxeBuilder } from "@axe-core/playwright";
import { type Browser, chromium, expect, type Locator, type Page } from "@playwright/test";
import type { VolunteerSnapshot } from "@weft/volunteer";

const PICTURES = new URL("../../test-results/pictures/", import.meta.url).pathname;
/** Tabs that a reader may need from one end of a page to the other. */
const MOST_TABS = 60;

export const snapshotOf = (page: Page): Promise<VolunteerSnapshot> =>
  page.evaluate(() => (globalThis as unknown as { weft: { snapshot(): VolunteerSnapshot } }).weft.snapshot());

export const stateOf = async (page: Page): Promise<string> => (await snapshotOf(page)).status.state;

/** Waits until `admitted` contributions of this page's volunteer have been counted since the button was pressed. */
export const admittedAtLeast = (page: Page, admitted: number, timeout = 60_000): Promise<void> =>
  expect.poll(async () => (await snapshotOf(page)).admitted, { timeout }).toBeGreaterThanOrEqual(admitted);

export const stateBecomes = (page: Page, states: RegExp, timeout = 30_000): Promise<void> =>
  expect.poll(() => stateOf(page), { timeout, intervals: [50] }).toMatch(states);

/** A browser that offers no graphics card at all; `more` are further flags of Chromium. */
export const browserWithoutGpu = (more: readonly string[] = []): Promise<Browser> =>
  chromium.launch({
    ...(process.env.WEFT_CHROMIUM === undefined ? {} : { executablePath: process.env.WEFT_CHROMIUM }),
    args: ["--disable-gpu", "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run", ...more],
  });

/** Presses Tab until `target` has the focus, as someone without a pointer does. */
export async function tabTo(page: Page, target: Locator): Promise<void> {
  await expect(target).toBeVisible();
  for (let tabs = 0; tabs < MOST_TABS; tabs++) {
    if (await target.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`${MOST_TABS} tabs do not lead to ${target}`);
}

/** Reaches `target` by Tab and presses it by `key`. */
export async function pressByKeyboard(page: Page, target: Locator, key = "Enter"): Promise<void> {
  await tabTo(page, target);
  await page.keyboard.press(key);
}

/** axe's violations of serious or critical impact, as one line each; a test expects none. */
export async function seriousViolations(page: Page): Promise<readonly string[]> {
  const { violations } = await new AxeBuilder({ page }).options({ resultTypes: ["violations"] }).analyze();
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) =>
      nodes.map((node) => `${id}: ${node.target.join(" ")} ${node.failureSummary?.split("\n")[1]?.trim() ?? ""}`),
    );
}

/** Pixels by which the page is wider than its window. */
export const sidewaysPx = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** Keeps a picture of the whole page for people to look at. */
export async function picture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: `${PICTURES}${name}.png`, fullPage: true, animations: "disabled" });
}

/** The page's volunteer is one of paper: it never starts, and shows what `show` is given. For pictures of states that pass too quickly. */
export async function lendOnPaper(page: Page): Promise<{ show(snapshot: VolunteerSnapshot): Promise<void> }> {
  await page.addInitScript(() => {
    class PaperWorker extends EventTarget {
      onmessage: ((event: { readonly data: unknown }) => void) | null = null;
      constructor() {
        super();
        Object.assign(globalThis, { show: (snapshot: unknown) => this.onmessage?.({ data: { kind: "snapshot", snapshot } }) });
      }
      postMessage(): void {}
      terminate(): void {}
    }
    Object.assign(globalThis, { Worker: PaperWorker });
  });
  return {
    show: (snapshot) => page.evaluate((given) => (globalThis as unknown as { show(snapshot: unknown): void }).show(given), snapshot),
  };
}

export type Theme = "light" | "dark";

/** What every state of every page keeps to, at one width and theme; a picture of it is kept. */
export async function holdsUp(page: Page, name: string, widthPx: number, theme: Theme = "light"): Promise<void> {
  await page.setViewportSize({ width: widthPx, height: widthPx < 600 ? 844 : 900 });
  await page.emulateMedia({ colorScheme: theme });
  await expect.poll(() => sidewaysPx(page), { message: `${name} at ${widthPx} px scrolls sideways` }).toBe(0);
  await picture(page, `${name}-${widthPx}-${theme}`);
  expect(await seriousViolations(page), `${name} at ${widthPx} px, ${theme}`).toEqual([]);
}

/** The widths of a phone and of a desk. */
export const WIDTHS_PX = [390, 1280] as const;
