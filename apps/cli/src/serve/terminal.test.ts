// What the terminal of `weft serve` shows: one line a run, redrawn in place on a terminal, now and then elsewhere.
import { describe, expect, it } from "vitest";
import { duration, progressLine } from "./progress-lines.ts";
import { PLAIN_EVERY_MS, Terminal } from "./terminal.ts";

const rates = { versionsPerMinute: 1, samplesPerSecond: 512.4, bytesInPerSecond: 0, bytesOutPerSecond: 0, remainingMs: 70_000 };
const run = {
  name: "digits",
  phase: "running",
  version: 60,
  versions: 240,
  lossMean: 0.5,
  heldOutLoss: 0.4,
  accuracy: 0.9512,
  volunteersNow: 2,
  rates,
} as const;

describe("a run's line", () => {
  it("has version, loss, held-out accuracy, samples a second, volunteers and time left", () => {
    expect(progressLine(run)).toBe(
      "digits       █████░░░░░░░░░░░░░░░ v60 of 240  loss 0.500  accuracy 95.1 %  512 samples/s  2 volunteers  1 min 10 s left",
    );
  });
  it("makes names from elsewhere harmless", () => {
    expect(progressLine({ ...run, name: "a\u001b[2Jb\u202e" })).toMatch(/^a\?\[2Jb\? /);
  });
  it("says when a run is over", () => {
    expect(progressLine({ ...run, phase: "finished", version: 240 })).toMatch(/finished$/);
  });
  it.each([
    [900, "1 s"],
    [61_000, "1 min 1 s"],
    [3_700_000, "1 h 1 min"],
    [300_000_000, "3 d"],
  ])("%d ms are %s", (ms, text) => {
    expect(duration(ms)).toBe(text);
  });
});

describe("a terminal", () => {
  it("redraws its live lines in place, below the lines that stay", () => {
    const written: string[] = [];
    const terminal = new Terminal({ isTTY: true, columns: 10, write: (text) => written.push(text) });
    terminal.show(["one", "a line that is too long"]);
    terminal.show(["two"]);
    terminal.show(["two"]);
    terminal.say("stays");
    expect(written).toEqual(["\r\u001b[0Jone\na line t…\n", "\u001b[2A\r\u001b[0Jtwo\n", "\u001b[1A\r\u001b[0Jstays\ntwo\n"]);
  });
  it("elsewhere writes a changed line at most every five seconds", () => {
    let nowMs = 0;
    const written: string[] = [];
    const terminal = new Terminal({ write: (text) => written.push(text) }, () => nowMs);
    terminal.show(["v1"]);
    terminal.show(["v2"]);
    nowMs += PLAIN_EVERY_MS;
    terminal.show(["v3"]);
    nowMs += PLAIN_EVERY_MS;
    terminal.show(["v3"]);
    expect(written).toEqual(["v1\n", "v3\n"]);
  });
});
