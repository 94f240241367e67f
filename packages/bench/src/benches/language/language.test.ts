import { parameterCount } from "@weft/models";
import type { GptSpec } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { meets } from "../../bench.ts";
import { FULL, SHORT } from "./cells.ts";
import { languageBench } from "./language.ts";
import { specOf } from "./language-run.ts";

const CONTEXT = { short: true, seed: 7, peakTflops: null, only: null, data: null, say: () => undefined } as const;

describe("the bench language", () => {
  it("reaches the goals of its short form: every mode and codec learns, and what must come out bad does", {
    timeout: 600_000,
  }, async () => {
    const rows = await languageBench.run(CONTEXT);
    expect(rows.filter((row) => !meets(row))).toEqual([]);
    expect(rows.filter(({ value }) => value === null)).toEqual([]);
    const bytes = rows.filter(({ unit }) => unit === "bytes");
    expect(bytes).toHaveLength(SHORT.length);
    const updates = (figure: string): number =>
      (bytes.find((row) => row.figure.startsWith(figure))?.value ?? 0) / (4 * parameterCount(SHORT[0]?.run.setting.model as GptSpec));
    expect(updates("4 volunteers, gradient, f32")).toBe(60);
    expect(updates("4 volunteers, H = 5 Nesterov, f32: ")).toBe(12);
  });

  it("measures no row whose text nobody named, and so misses its goal", async () => {
    const rows = await languageBench.run({ ...CONTEXT, short: false, only: "one worker, 200 steps" });
    const note = "wants the folder of Tiny Shakespeare's file: --data FOLDER";
    expect(rows).toMatchObject([
      { value: null, note },
      { value: null, note },
    ]);
    expect(rows.map(meets)).toEqual([false, true]);
  });

  it("names no cell twice, and sets each beside one that there is", () => {
    for (const cells of [FULL, SHORT]) {
      const names = cells.map(({ figure }) => figure);
      expect(new Set(names).size).toBe(names.length);
      for (const { beside } of cells) for (const { figure } of beside) expect(names).toContain(figure);
    }
  });

  it("trains what a coordinator takes, but for outer Nesterov in asynchronous rounds", () => {
    const refused = [...FULL, ...SHORT].filter(({ run }) => specOf({ ...run, seed: 7 }).refusal !== null);
    expect(refused.map(({ figure }) => figure)).toEqual(Array(2).fill("must be bad: async, 30 % churn, outer Nesterov"));
  });

  it("spends 800 batches on every row of the short budget, and 4,000 on the full one", () => {
    const batches = ({ run: { way, versions, places, piece, setting } }: (typeof FULL)[number]): number => {
      if (way.kind === "gradient") return (versions * places * piece) / setting.batch;
      return versions * way.steps * (way.rounds.kind === "all" ? way.rounds.leases : Number(way.rounds.buffer));
    };
    const ofFour = FULL.filter(({ figure }) => !figure.includes("one worker"));
    expect(ofFour.map(batches)).toEqual([...Array(12).fill(800), ...Array(2).fill(4_000)]);
  });
});
