// What the application refuses before it costs anything: too many requests of one address, too many expensive ones at a time.
import type { Hono } from "hono";
import { expect, test } from "vitest";
import { type AppContext, makeApp } from "./app.ts";
import { MAX_API_REQUESTS_A_MINUTE, MAX_COSTLY_REQUESTS_A_MINUTE, MAX_LEDGER_READS, MAX_WAITING_READS } from "./cost-limits.ts";

/** Errors that would have been logged. */
let failures: unknown[];
const nothing = (): void => undefined;

function appOver(ledger: () => Promise<readonly object[] | null>): Hono {
  failures = [];
  return makeApp({
    coordinator: { runs: () => [], volunteersNow: () => 0, detail: () => ({ run: "a", ledger: { seq: 1 } }), ledger },
    origins: { hostAllowed: () => true, originAllowed: () => true },
    metrics: { request: nothing, refused: nothing, error: nothing },
    log: { error: (what: unknown) => failures.push(what) },
    secure: false,
    site: null,
  } as unknown as AppContext);
}
const ask = (app: Hono, path: string, address = "10.0.0.1"): Promise<Response> =>
  Promise.resolve(app.request(path, {}, { incoming: { socket: { remoteAddress: address } } }));

test("one address has so many requests a minute, fewer of the costly ones; others are not affected", async () => {
  const app = appOver(() => Promise.resolve([]));
  for (let count = 0; count < MAX_COSTLY_REQUESTS_A_MINUTE; count += 1) expect((await ask(app, "/api/runs/a/ledger")).status).toBe(200);
  const refused = await ask(app, "/api/runs/a");
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(await refused.json()).toMatchObject({ ok: false, code: "rate-limited", retryAfterMs: expect.any(Number) });
  expect((await ask(app, "/api/runs")).status).toBe(200);
  expect((await ask(app, "/api/runs/a", "10.0.0.2")).status).toBe(200);
  for (let count = MAX_COSTLY_REQUESTS_A_MINUTE; count < MAX_API_REQUESTS_A_MINUTE; count += 1) await ask(app, "/api/health");
  expect((await ask(app, "/api/health")).status).toBe(429);
  expect(failures).toEqual([]);
});

test("two ledgers are read at a time, some requests wait, the others are told when to come again", async () => {
  const under: (() => void)[] = [];
  let most = 0;
  let reading = 0;
  const app = appOver(async () => {
    reading += 1;
    most = Math.max(most, reading);
    await new Promise<void>((resolve) => under.push(resolve));
    reading -= 1;
    return [{ seq: 0 }];
  });
  const asked = Array.from({ length: MAX_LEDGER_READS + MAX_WAITING_READS + 5 }, () => ask(app, "/api/runs/a/ledger"));
  const early = await Promise.race(asked);
  expect([early.status, early.headers.get("retry-after")]).toEqual([503, "2"]);
  const finish = setInterval(() => under.shift()?.(), 0);
  const statuses = (await Promise.all(asked)).map(({ status }) => status);
  clearInterval(finish);
  expect(statuses.filter((status) => status === 200)).toHaveLength(MAX_LEDGER_READS + MAX_WAITING_READS);
  expect(statuses.filter((status) => status === 503)).toHaveLength(5);
  expect(most).toBe(MAX_LEDGER_READS);
  expect(failures).toEqual([]);
});

test("a ledger that cannot be read gives its place back", async () => {
  const app = appOver(() => Promise.reject(new Error("broken")));
  for (let count = 0; count < MAX_LEDGER_READS + 1; count += 1) expect((await ask(app, "/api/runs/a/ledger")).status).toBe(500);
});
