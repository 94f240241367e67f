import { describe, expect, it } from "vitest";
import { EXAMPLE, nameAfter, readSpec, whereIn } from "./spec-form.ts";

describe("the form for a new run", () => {
  it("starts from a specification that is right", () => {
    expect(readSpec(JSON.stringify(EXAMPLE, null, 2))).toEqual({ ok: true, spec: EXAMPLE });
  });
  it("says what is not JSON in the browser's words", () => {
    const read = readSpec('{\n  "name": "a",\n  "seed": seven\n}');
    expect(read.ok).toBe(false);
    if (!read.ok) expect(read.problems[0]?.rule).toMatch(/^is not JSON \(.*seven/s);
  });
  it("names the line where a browser tells it or a position", () => {
    const text = '{\n  "name": "a",\n  "seed": seven\n}';
    expect(whereIn(text, `Unexpected token in JSON at position ${text.indexOf("seven")}`)).toBe("line 3");
    expect(whereIn(text, "JSON.parse: unexpected character at line 3 column 11")).toBe("line 3");
    expect(whereIn(text, "JSON Parse error")).toBe("(the whole)");
  });
  it("names the field, the rule and a good value", () => {
    const read = readSpec(JSON.stringify({ ...EXAMPLE, seed: -1 }));
    expect(read).toEqual({ ok: false, problems: [{ field: "seed", rule: "must be at least 0", good: "7" }] });
  });
  it("names what comes of another run after it, within the length of a name", () => {
    expect(nameAfter("digits", "fork")).toBe("digits fork");
    const long = nameAfter("an unusually long name of a run", "resumed");
    expect(long).toBe("an unusually long name o resumed");
    expect(readSpec(JSON.stringify({ ...EXAMPLE, name: long })).ok).toBe(true);
  });
  it("refuses a text that is too long before parsing it", () => {
    const read = readSpec(`"${"x".repeat(70_000)}"`);
    expect(read.ok).toBe(false);
    if (!read.ok) expect(read.problems[0]?.rule).toContain("64 KB");
  });
});
