import { describe, expect, it } from "vitest";
import { sparkPath } from "./spark.tsx";

describe("a spark line", () => {
  it("puts the largest value at the top and the smallest at the bottom", () => {
    expect(sparkPath([2, 1, 3])).toBe("M0.0 16.0L50.0 30.0L100.0 2.0");
  });
  it("is level for one value or equal values, and nothing for none", () => {
    expect(sparkPath([5])).toBe("M0.0 16.0L100.0 16.0");
    expect(sparkPath([5, 5])).toBe("M0.0 16.0L100.0 16.0");
    expect(sparkPath([])).toBe("");
  });
  it("leaves out what is not a number", () => {
    expect(sparkPath([1, Number.NaN, 2])).toBe("M0.0 30.0L100.0 2.0");
  });
});
