import { expect, test } from "vitest";
import { OwedWork } from "./owed-work.ts";

test("failed work is tried again with growing pauses until it is done, and never twice at once", async () => {
  let nowMs = 0;
  let tries = 0;
  const pauses: number[] = [];
  const owed = new OwedWork({ now: () => nowMs }, (_name, _error, waitMs) => pauses.push(waitMs));
  const work = async () => {
    tries += 1;
    if (tries < 4) throw new Error("not yet");
  };
  owed.start("close 0", work);
  owed.start("close 0", work);
  await owed.idle();
  expect(tries).toBe(1);
  for (let step = 0; step < 20; step += 1) {
    nowMs += 500;
    owed.tick();
    await owed.idle();
  }
  expect(tries).toBe(4);
  expect(pauses).toEqual([1_000, 2_000, 4_000]);
  expect(owed.names()).toEqual([]);
});

test("work that was cleared while it ran is not tried again", async () => {
  let nowMs = 0;
  let tries = 0;
  const owed = new OwedWork({ now: () => nowMs }, () => undefined);
  owed.start("evaluate 1", async () => {
    tries += 1;
    throw new Error("storage is gone");
  });
  owed.clear();
  await owed.idle();
  nowMs = 100_000;
  owed.tick();
  await owed.idle();
  expect(tries).toBe(1);
});
