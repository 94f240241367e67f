import { expect, test } from "vitest";
import { VirtualClock } from "./virtual-clock.ts";

test("sleepers wake in the order of their times, also those who fall asleep on the way", async () => {
  const clock = new VirtualClock(0);
  const woken: string[] = [];
  clock.after(30, () => woken.push(`late at ${clock.now()}`));
  clock.after(10, () => {
    woken.push(`early at ${clock.now()}`);
    clock.after(10, () => woken.push(`between at ${clock.now()}`));
  });
  await clock.advance(25);
  expect(woken).toEqual(["early at 10", "between at 20"]);
  expect(clock.now()).toBe(25);
  await clock.advance(5);
  expect(woken).toEqual(["early at 10", "between at 20", "late at 30"]);
});
