import { describe, expect, it } from "vitest";
import { dab, isBlank, moved } from "./pad.ts";

const FIELD = { height: 8, width: 8 };

describe("the drawing field", () => {
  it("is inked where the brush is, softly around it, and nowhere far away", () => {
    const values = dab(new Float32Array(64), FIELD, 3.5, 2.5);
    expect(values[2 * 8 + 3]).toBe(1);
    expect(values[2 * 8 + 4]).toBeGreaterThan(0);
    expect(values[2 * 8 + 4]).toBeLessThan(1);
    expect(values[7 * 8 + 7]).toBe(0);
  });
  it("never loses ink", () => {
    const once = dab(new Float32Array(64), FIELD, 1, 1);
    const twice = dab(once, FIELD, 6, 6);
    once.forEach((value, index) => {
      expect(twice[index]).toBeGreaterThanOrEqual(value);
    });
    expect(isBlank(once)).toBe(false);
    expect(isBlank(new Float32Array(64))).toBe(true);
  });
  it("is walked by arrow keys, round its edges", () => {
    expect(moved(null, "ArrowLeft", FIELD)).toBe(36);
    expect(moved(0, "ArrowLeft", FIELD)).toBe(7);
    expect(moved(0, "ArrowUp", FIELD)).toBe(56);
    expect(moved(9, "ArrowDown", FIELD)).toBe(17);
    expect(moved(9, "a", FIELD)).toBeNull();
  });
});
