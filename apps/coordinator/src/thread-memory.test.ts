import { expect, test } from "vitest";
import { releaser } from "./thread-memory.ts";

test("bytes that have their memory to themselves are given back at once, also many one after another", () => {
  const release = releaser();
  const all = Array.from({ length: 3 }, () => new Uint8Array(256 * 1024).fill(1));
  for (const bytes of all) release(bytes);
  expect(all.map(({ byteLength }) => byteLength)).toEqual([0, 0, 0]);
});

test("bytes that lie among others stay", () => {
  const release = releaser();
  const whole = new Uint8Array(64).fill(1);
  release(whole.subarray(0, 32));
  release(whole.subarray(32));
  expect([...whole]).toEqual(Array.from({ length: 64 }, () => 1));
});
