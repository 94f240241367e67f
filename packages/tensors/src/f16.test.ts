import { describe, expect, it } from "vitest";
import { f16Nearest, f16RoundedUp, f16ToNumber, MAX_F16 } from "./f16.ts";

const finiteBits = Array.from({ length: 0x7c00 }, (_, bits) => bits);

describe("f16", () => {
  it("comes back from every one of its finite values, both signs, subnormals and -0 included", () => {
    const wrong = finiteBits.filter((bits) => {
      const value = f16ToNumber(bits);
      return f16Nearest(value) !== bits || f16Nearest(f16ToNumber(bits | 0x8000)) !== (bits | 0x8000) || f16RoundedUp(value) !== bits;
    });
    expect(wrong).toEqual([]);
    expect(Object.is(f16ToNumber(0x8000), -0)).toBe(true);
  });

  it("rounds to the nearest with ties to even between any two neighbours, and up when asked", () => {
    const wrong = finiteBits.slice(0, -1).filter((bits) => {
      const low = f16ToNumber(bits);
      const high = f16ToNumber(bits + 1);
      const step = high - low;
      return (
        f16Nearest((low + high) / 2) !== (bits % 2 === 0 ? bits : bits + 1) ||
        f16Nearest(-(low + step / 4)) !== (bits | 0x8000) ||
        f16Nearest(high - step / 4) !== bits + 1 ||
        f16RoundedUp(low + step / 1024) !== bits + 1
      );
    });
    expect(wrong).toEqual([]);
  });

  it("knows its limits: 65,504, infinity from 65,520, NaN, and f32 values far below the smallest subnormal", () => {
    expect(f16ToNumber(0x7bff)).toBe(MAX_F16);
    expect(f16Nearest(65_519.996)).toBe(0x7bff);
    expect(f16Nearest(65_520)).toBe(0x7c00);
    expect(f16Nearest(Number.NEGATIVE_INFINITY)).toBe(0xfc00);
    expect(f16Nearest(Number.NaN)).toBe(0x7e00);
    expect(Number.isNaN(f16ToNumber(0x7e00))).toBe(true);
    expect(f16ToNumber(0xfc00)).toBe(Number.NEGATIVE_INFINITY);
    expect(f16RoundedUp(MAX_F16)).toBe(0x7bff);
    expect(f16RoundedUp(65_504.01)).toBe(0x7c00);
    expect(f16Nearest(2 ** -25)).toBe(0);
    expect(f16Nearest(2 ** -25 * 1.0001)).toBe(1);
    expect(f16RoundedUp(1e-45)).toBe(1);
    expect(f16RoundedUp(2 ** -30)).toBe(1);
    expect(f16RoundedUp(0)).toBe(0);
    expect(() => f16RoundedUp(-1)).toThrow(RangeError);
    expect(() => f16RoundedUp(Number.NaN)).toThrow(RangeError);
  });
});
