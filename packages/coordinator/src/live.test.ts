import { expect, test } from "vitest";
import { Live } from "./live.ts";

const published = (atMs: number) =>
  ({ seq: 0, atMs, hash: "", signature: null, event: { type: "version-published" } }) as unknown as Parameters<Live["onRecord"]>[0];

test("rates count the last minute alone and give the time that is left at this pace", () => {
  const live = new Live(0);
  for (let second = 0; second < 120; second += 2) live.onRecord(published(second * 1_000));
  const rates = live.rates(119_000, 60);
  expect(rates.versionsPerMinute).toBeCloseTo(30, 0);
  expect(rates.remainingMs).toBeGreaterThan(110_000);
  expect(rates.remainingMs).toBeLessThan(130_000);
  expect(live.rates(200_000, 60)).toMatchObject({ versionsPerMinute: 0, remainingMs: null });
});

test("what a ledger says of long ago does not count as now", () => {
  const live = new Live(1_000_000);
  live.onRecord(published(1_000_000));
  live.onRecord(published(900_000));
  expect(live.rates(1_005_000, 10).versionsPerMinute).toBeCloseTo(12, 5);
});
