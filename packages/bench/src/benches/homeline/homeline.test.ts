// The short form of bench `homeline`: a smaller model and shorter leases on lines as much slower. The coordinator must have been built.
import { expect, it } from "vitest";
import { meets } from "../../bench.ts";
import { homelineBench } from "./homeline.ts";

it("volunteers behind slow lines compute nearly all of the time", { timeout: 180_000 }, async () => {
  const rows = await homelineBench.run({ short: true, seed: 7, peakTflops: null, only: null, data: null, say: () => undefined });
  expect(rows.filter((row) => !meets(row))).toEqual([]);
  const value = (figure: string): number => rows.find((row) => row.figure === figure)?.value ?? Number.NaN;
  // What the line had to carry: a delta of int8 for most leases, two for some, and an update of at most 1.7 bits a parameter.
  const parameters = value("parameters");
  expect(value("on the line down, each lease")).toBeGreaterThan(0.5 * parameters);
  expect(value("on the line down, each lease")).toBeLessThan(2 * parameters);
  expect(value("payload up, each lease")).toBeLessThan((1.7 / 8) * parameters);
  const spent = ["computing", "uploading and nothing else", "downloading and not computing", "waiting"].map(value);
  expect(spent.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 2);
});
