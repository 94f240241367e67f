// The volunteer's clock over a wall clock that is set, and over a machine that sleeps.
import { describe, expect, it } from "vitest";
import { volunteerClock } from "./clock.ts";

function sources(): { wallMs: number; elapsedMs: number; readonly clock: ReturnType<typeof volunteerClock> } {
  const times = { wallMs: 1_000_000, elapsedMs: 5 };
  const clock = volunteerClock({ wallMs: () => times.wallMs, elapsedMs: () => times.elapsedMs, sleep: () => Promise.resolve() });
  return Object.assign(times, { clock });
}

describe("the volunteer's clock", () => {
  it("goes on from where it is when the wall clock is set back, and follows a sleep after that", () => {
    const times = sources();
    expect(times.clock.now()).toBe(1_000_000);
    times.wallMs -= 3_600_000;
    expect(times.clock.now()).toBe(1_000_000);
    times.wallMs += 400;
    times.elapsedMs += 400;
    expect(times.clock.now()).toBe(1_000_400);
    // Asleep for a minute: only the wall clock knows.
    times.wallMs += 60_000;
    expect(times.clock.now()).toBe(1_060_400);
  });

  it("believes a wall clock that goes ahead, since the machine may have slept", () => {
    const times = sources();
    times.wallMs += 7_200_000;
    expect(times.clock.now()).toBe(8_200_000);
    times.wallMs += 1;
    times.elapsedMs += 1;
    expect(times.clock.now()).toBe(8_200_001);
  });

  it("has the resolution of the high-resolution timer and does not jitter with the wall's", () => {
    const times = sources();
    times.elapsedMs += 0.25;
    expect(times.clock.now()).toBe(1_000_000.25);
    times.wallMs += 30;
    expect(times.clock.now()).toBe(1_000_000.25);
  });
});
