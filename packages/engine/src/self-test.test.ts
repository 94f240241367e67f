// The self-test against devices that lie: each fault that is known from the wild is found and named.
import { layoutFor } from "@weft/models";
import type { ModelSpec } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { computeGolden } from "../test/make-goldens.ts";
import { judge, SELF_TEST_TOLERANCE } from "./self-test.ts";
import { SELF_TEST_CASES } from "./self-test-cases.ts";
import { goldenOf } from "./self-test-goldens.ts";

const kinds = Object.keys(SELF_TEST_CASES) as ModelSpec["kind"][];

describe.each(kinds)("the self-test of %s", (kind) => {
  const layout = layoutFor(SELF_TEST_CASES[kind].model);
  const golden = goldenOf(kind);
  const judged = (change: (gradient: Float32Array) => void, loss = golden[layout.size] as number) => {
    const gradientSum = golden.slice(0, layout.size);
    change(gradientSum);
    return judge(kind, layout, { gradientSum, lossSum: loss }, golden);
  };

  it("has the stored gradients of the f64 reference, none of them all zero", () => {
    expect(golden).toEqual(computeGolden(kind));
    for (const { name, offset, size } of layout.parameters)
      expect(Math.hypot(...golden.subarray(offset, offset + size)), name).toBeGreaterThan(1e-3);
  });
  it("accepts the stored values themselves and errors within the tolerance", () => {
    expect(judged(() => undefined)).toEqual({ relativeError: 0, fault: null });
    const near = judged((gradient) => gradient.set(gradient.map((value) => value * (1 + SELF_TEST_TOLERANCE / 2))));
    expect(near.fault).toBeNull();
  });
  it("finds a device that returns zeros", () => {
    expect(judged((gradient) => gradient.fill(0)).fault).toBe(`${kind}: all gradients are zero`);
  });
  it("finds NaN and infinity wherever they stand, also in the loss", () => {
    for (const { name, offset } of layout.parameters)
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const { fault, relativeError } = judged((gradient) => gradient.fill(bad, offset, offset + 1));
        expect(fault).toBe(`${kind}: the gradient of ${name} is not finite`);
        expect(Number.isFinite(relativeError)).toBe(true);
      }
    expect(judged(() => undefined, Number.NaN).fault).toBe(`${kind}: the loss is not finite`);
  });
  it("names the one parameter that is wrong, zeroed or transposed or scaled", () => {
    for (const { name, offset, size } of layout.parameters) {
      expect(judged((gradient) => gradient.fill(0, offset, offset + size)).fault).toContain(`gradient of ${name} is off`);
      expect(judged((gradient) => gradient.subarray(offset, offset + size).reverse()).fault).toContain(`gradient of ${name} is off`);
    }
  });
});
