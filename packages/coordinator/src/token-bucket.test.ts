import { expect, test } from "vitest";
import { TokenBucket } from "./token-bucket.ts";

test("a burst up to the capacity passes, then messages pass at the long-run rate", () => {
  const bucket = new TokenBucket(10, 3, 0);
  expect([bucket.take(0), bucket.take(0), bucket.take(0)]).toEqual([0, 0, 0]);
  expect(bucket.take(0)).toBe(100);
  expect(bucket.take(99)).toBeGreaterThan(0);
  expect(bucket.take(100)).toBe(0);
  expect(bucket.take(100)).toBe(100);
});

test("a long silence fills no more than the capacity, and a clock that steps back gives nothing", () => {
  const bucket = new TokenBucket(10, 2, 0);
  expect([bucket.take(60_000), bucket.take(60_000), bucket.take(60_000)]).toEqual([0, 0, 100]);
  expect(bucket.take(0)).toBe(100);
});
