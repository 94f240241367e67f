// The short form of bench `uplink`: sizes and bytes, in Node and in a real browser; it judges no time.
import { expect, it } from "vitest";
import { meets } from "../../bench.ts";
import { uplinkBench } from "./uplink.ts";

it("every codec keeps to its bits, and a device packs what the processor packs", { timeout: 300_000 }, async () => {
  const rows = await uplinkBench.run({ short: true, seed: 7, peakTflops: null, only: null, data: null, say: () => undefined });
  const judged = rows.filter(({ goal }) => goal !== null);
  expect(judged.map(({ figure }) => figure)).toEqual([
    "0.2 M, ternary: before entropy coding",
    "0.2 M, topk: before entropy coding",
    ...["int8", "int4", "ternary", "sign", "topk"].map((name) => `0.2 M, ${name}: WebGPU, values other than the CPU's`),
  ]);
  expect(judged.filter((row) => !meets(row))).toEqual([]);
});
