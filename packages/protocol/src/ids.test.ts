import { describe, expect, it } from "vitest";
import { f32FromHex, f32ToHex, isDisplayName, RunId } from "./ids.ts";

describe("names", () => {
  it("may be 1 to 32 characters of any script", () => {
    for (const name of ["marit", "Ἀθηνᾶ".normalize("NFC"), "a", "x".repeat(32), "😀 weaver", "O'Brien <3"])
      expect(isDisplayName(name), name).toBe(true);
  });
  it("may not be empty, long, padded, decomposed, or carry what cannot be seen", () => {
    for (const name of [
      "",
      "x".repeat(33),
      " a",
      "a ",
      "e\u0301",
      "a\u202Eb",
      "a\u0000",
      "a\u200Bb",
      "a\nb",
      "\u2028",
      "\uD800",
      "\u001B[31m",
    ])
      expect(isDisplayName(name), JSON.stringify(name)).toBe(false);
  });
});

describe("run ids", () => {
  it("are lower-case words with hyphens inside", () => {
    for (const id of ["digits", "digits-2", "a"]) expect(RunId.safeParse(id).success).toBe(true);
    for (const id of ["", "-a", "a-", "A", "a/b", "..", "a".repeat(41), "a\n"]) expect(RunId.safeParse(id).success, id).toBe(false);
  });
});

describe("f32 bits", () => {
  it("survive the trip through hexadecimal", () => {
    for (const value of [0, -0, 1, -1.5, Math.fround(0.1), 3.4028234663852886e38, 1.401298464324817e-45, Number.POSITIVE_INFINITY])
      expect(Object.is(f32FromHex(f32ToHex(value)), value)).toBe(true);
    expect(f32ToHex(1)).toBe("3f800000");
  });
});
