import { describe, expect, it } from "vitest";
import { bytes, clock, count, duration, loss, moment, ordinal, percent, plural, rate, shortHash, small } from "./figures.ts";

describe("figures", () => {
  it("groups whole numbers", () => {
    expect(count(806_144)).toBe("806,144");
    expect(count(0)).toBe("0");
  });
  it("gives bytes one digit below ten and none above, in decimal units", () => {
    expect([0, 512, 999, 1_000, 31_120, 999_500, 6_900_000, 163_000_000, 2.5e9].map(bytes)).toEqual([
      "0 B",
      "512 B",
      "999 B",
      "1.0 KB",
      "31 KB",
      "1.0 MB",
      "6.9 MB",
      "163 MB",
      "2.5 GB",
    ]);
  });
  it("gives durations at most two units", () => {
    expect([0, 200, 4_000, 14_000, 90_000, 180_000, 3_600_000, 17_640_000, 183_600_000].map(duration)).toEqual([
      "0 s",
      "0.2 s",
      "4 s",
      "14 s",
      "90 s",
      "3 min",
      "1 h",
      "4 h 54 min",
      "2 d 3 h",
    ]);
  });
  it("gives speeds the digits they deserve", () => {
    expect([0, 0.534, 2, 24.55, 204.4].map(rate)).toEqual(["0", "0.53", "2.0", "24.6", "204"]);
  });
  it("writes percentages, losses, hashes and small numbers", () => {
    expect(percent(0.98888)).toBe("98.9 %");
    expect(loss(1.4868)).toBe("1.487");
    expect(shortHash("9f3c000041d7")).toBe("9f3c…41d7");
    expect([0.002, 1e-8, 0.5, 0, 0.9].map(small)).toEqual(["2e-3", "1e-8", "0.5", "0", "0.9"]);
  });
  it("counts in words", () => {
    expect(plural(1, "lease")).toBe("1 lease");
    expect(plural(29, "lease")).toBe("29 leases");
    expect(plural(2, "person", "people")).toBe("2 people");
    expect([1, 2, 3, 4, 11, 12, 13, 21, 22, 111, 1_003].map(ordinal)).toEqual([
      "1st",
      "2nd",
      "3rd",
      "4th",
      "11th",
      "12th",
      "13th",
      "21st",
      "22nd",
      "111th",
      "1,003rd",
    ]);
  });
  it("says the day only where it is not today", () => {
    const noon = new Date(2026, 10, 23, 12, 5, 9).getTime();
    expect(clock(noon)).toBe("12:05:09");
    expect(moment(noon, noon + 1)).toBe("12:05");
    expect(moment(noon, noon + 86_400_000)).toBe("23 Nov 12:05");
  });
});
